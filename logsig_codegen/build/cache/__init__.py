"""The on-disk cache of compiled problems: what it owns, whom it trusts, how entries come and go.

The cache owns one folder, ``kernels``, in the one that the user names, and in it what bears its mark (``marks``). It
reads what nobody but the user, root, or somebody the user trusts could have written (``places``). Entries are built
aside and appear by one rename, under a lock per key where there are locks (``entries``, ``locks``), and go by age, size
or command (``retention``). What failed builds leave is kept for a while (``failures``).
"""

from logsig_codegen.build.cache.entries import (
    Request,
    is_being_kept,
    is_kept,
    itself,
    keep,
    lookup,
    obtain,
    trusted_entry,
)
from logsig_codegen.build.cache.fingerprint import fingerprint_lines, package_fingerprint
from logsig_codegen.build.cache.places import VARIABLE, Place, cache_dir, place, roots, set_cache_dir, writable_root
from logsig_codegen.build.cache.retention import Entry, clean, clear, contents, entries, size_limit, touch

__all__ = [
    "VARIABLE",
    "Entry",
    "Place",
    "Request",
    "cache_dir",
    "clean",
    "clear",
    "contents",
    "entries",
    "fingerprint_lines",
    "is_being_kept",
    "is_kept",
    "itself",
    "keep",
    "lookup",
    "obtain",
    "package_fingerprint",
    "place",
    "roots",
    "set_cache_dir",
    "size_limit",
    "touch",
    "trusted_entry",
    "writable_root",
]
