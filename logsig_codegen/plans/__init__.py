"""Candidate plans per operation: small Lie-level programs that the symbolic layer proves before they are lowered."""
