"""From source text to a library on disk: finding the compiler, compiling, and the cache of finished libraries."""
