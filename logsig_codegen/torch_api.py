"""The functions of :mod:`logsig_codegen.functional` for torch tensors, differentiable as often as wanted.

The functions at top level take tensors too, with the same gradients; these names exist so that code written for
``pysiglib.torch_api`` runs after a change of its import. Importing this module imports torch and registers the
operators ``torch.ops.logsig_codegen.join``, … (``docs/pytorch.md``).
"""

from logsig_codegen._tensor_functions import (
    hall_windows,
    linear_log_sig,
    log_sig,
    log_sig_change_method,
    log_sig_combine,
    log_sig_from_hall,
    log_sig_join,
    log_sig_joins,
    log_sig_to_hall,
    logsig_to_sig,
    logsig_windows,
    sig_to_log_sig,
    transform_path,
)
from logsig_codegen.functional import (
    clear_cache,
    idx_to_word,
    is_lyndon,
    log_sig_length,
    lyndon_words,
    lyndon_words_of_length,
    prepare_log_sig,
    set_cache_dir,
    sig_length,
    word_to_idx,
    words,
    words_of_length,
)
from logsig_codegen.streams import LogSigStream, LogSigWindowStream

__all__ = [
    "LogSigStream",
    "LogSigWindowStream",
    "clear_cache",
    "hall_windows",
    "idx_to_word",
    "is_lyndon",
    "linear_log_sig",
    "log_sig",
    "log_sig_change_method",
    "log_sig_combine",
    "log_sig_from_hall",
    "log_sig_join",
    "log_sig_joins",
    "log_sig_length",
    "log_sig_to_hall",
    "logsig_to_sig",
    "logsig_windows",
    "lyndon_words",
    "lyndon_words_of_length",
    "prepare_log_sig",
    "set_cache_dir",
    "sig_length",
    "sig_to_log_sig",
    "transform_path",
    "word_to_idx",
    "words",
    "words_of_length",
]
