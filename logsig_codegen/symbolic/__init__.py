"""Derivation, formulas and proofs with SymPy; exact throughout. ``proof`` and ``matrices`` do without SymPy."""
