"""Operators of torch, and the calls that end in them. Importing this package imports torch and registers the operators.

``define`` registers an operator from its rules; ``rows``, ``products``, ``paths``, ``maps`` and ``signatures`` have the
rules; ``brackets`` is what derivatives beyond the generated ones are made of; ``calls`` is what the rest of the package
calls when a tensor comes.
"""
