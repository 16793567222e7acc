"""Exact algebra over integers, fractions and one quadratic field; the standard library only."""
