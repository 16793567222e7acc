"""Operators of torch, and the calls that end in them. Importing it imports torch and registers the operators."""
