"""Functions with the names, argument order, defaults and results of pySigLib 4.0: changing the import is enough.

Where pySigLib accepts what makes no sense, or fails with a bare ``Exception``, these raise ``TypeError`` or
``ValueError`` with the argument's name. Nothing has to be prepared before it is used.
"""

from logsig_codegen.functional.conversions import (
    linear_log_sig,
    linear_log_sig_backprop,
    log_sig_change_method,
    log_sig_change_method_backprop,
    log_sig_from_hall,
    log_sig_from_hall_backprop,
    log_sig_to_hall,
    log_sig_to_hall_backprop,
    logsig_to_sig,
    logsig_to_sig_backprop,
    sig_to_log_sig,
    sig_to_log_sig_backprop,
)
from logsig_codegen.functional.joins import log_sig_joins, log_sig_joins_backprop
from logsig_codegen.functional.paths import log_sig, log_sig_backprop, transform_path, transform_path_backprop
from logsig_codegen.functional.preparation import clear_cache, prepare_log_sig, set_cache_dir
from logsig_codegen.functional.products import (
    log_sig_combine,
    log_sig_combine_backprop,
    log_sig_join,
    log_sig_join_backprop,
)
from logsig_codegen.functional.windows import hall_windows, logsig_windows
from logsig_codegen.functional.words import (
    idx_to_word,
    is_lyndon,
    log_sig_length,
    lyndon_words,
    lyndon_words_of_length,
    sig_length,
    word_to_idx,
    words,
    words_of_length,
)

__all__ = [
    "clear_cache",
    "hall_windows",
    "idx_to_word",
    "is_lyndon",
    "linear_log_sig",
    "linear_log_sig_backprop",
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
    "log_sig_joins",
    "log_sig_joins_backprop",
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
