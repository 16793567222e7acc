"""Compiled, differentiated kernels for log-signatures, derived exactly for each dimension and degree.

>>> import logsig_codegen as lg
>>> kernel = lg.load(2, 3)
>>> kernel.brackets
('0', '1', '[0,1]', '[0,[0,1]]', '[[0,1],1]')

``kernel.log_sig`` makes log-signatures of paths, ``kernel.join`` extends them by a segment, ``kernel.combine``
multiplies them, each with its gradient; the functions with pySigLib's names do the same without an object.
``logsig_codegen.torch_api`` needs torch and is not imported here.
"""

from logsig_codegen._version import __version__
from logsig_codegen.api import GeneratedFolder, formulas, generate, load
from logsig_codegen.errors import (
    ArtifactError,
    BuildForbiddenError,
    CacheError,
    CompilerError,
    CompilerNotFoundError,
    CudaError,
    GenerationError,
    InterpretedWarning,
    LogSigError,
    OutputError,
    PlanProofError,
    ProblemTooLargeError,
    UnsupportedError,
)
from logsig_codegen.functional import (
    clear_cache,
    hall_windows,
    idx_to_word,
    is_lyndon,
    linear_log_sig,
    linear_log_sig_backprop,
    log_sig,
    log_sig_backprop,
    log_sig_change_method,
    log_sig_change_method_backprop,
    log_sig_combine,
    log_sig_combine_backprop,
    log_sig_from_hall,
    log_sig_from_hall_backprop,
    log_sig_join,
    log_sig_join_backprop,
    log_sig_length,
    log_sig_to_hall,
    log_sig_to_hall_backprop,
    logsig_to_sig,
    logsig_to_sig_backprop,
    logsig_windows,
    lyndon_words,
    lyndon_words_of_length,
    prepare_log_sig,
    set_cache_dir,
    sig_length,
    sig_to_log_sig,
    sig_to_log_sig_backprop,
    transform_path,
    transform_path_backprop,
    word_to_idx,
    words,
    words_of_length,
)
from logsig_codegen.problem import Problem
from logsig_codegen.runtime.kernel import LogSigKernel
from logsig_codegen.runtime.report import Report
from logsig_codegen.streams import LogSigStream, LogSigWindowStream

__all__ = [
    "ArtifactError",
    "BuildForbiddenError",
    "CacheError",
    "CompilerError",
    "CompilerNotFoundError",
    "CudaError",
    "GeneratedFolder",
    "GenerationError",
    "InterpretedWarning",
    "LogSigError",
    "LogSigKernel",
    "LogSigStream",
    "LogSigWindowStream",
    "OutputError",
    "PlanProofError",
    "Problem",
    "ProblemTooLargeError",
    "Report",
    "UnsupportedError",
    "__version__",
    "clear_cache",
    "formulas",
    "generate",
    "hall_windows",
    "idx_to_word",
    "is_lyndon",
    "linear_log_sig",
    "linear_log_sig_backprop",
    "load",
    "log_sig",
    "log_sig_backprop",
    "log_sig_change_method",
    "log_sig_change_method_backprop",
    "log_sig_combine",
    "log_sig_combine_backprop",
    "log_sig_from_hall",
    "log_sig_from_hall_backprop",
    "log_sig_join",
    "log_sig_join_backprop",
    "log_sig_length",
    "log_sig_to_hall",
    "log_sig_to_hall_backprop",
    "logsig_to_sig",
    "logsig_to_sig_backprop",
    "logsig_windows",
    "lyndon_words",
    "lyndon_words_of_length",
    "prepare_log_sig",
    "set_cache_dir",
    "sig_length",
    "sig_to_log_sig",
    "sig_to_log_sig_backprop",
    "transform_path",
    "transform_path_backprop",
    "word_to_idx",
    "words",
    "words_of_length",
]
