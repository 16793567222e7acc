"""Operators of torch, and the calls that end in them. Importing its modules imports torch and registers the operators.

``define`` registers an operator from its rules; ``rows``, ``products``, ``paths``, ``maps`` and ``signatures`` have the
rules; ``brackets`` and ``path_composition`` are what derivatives beyond the generated ones are made of; ``calls`` is
what the rest of the package calls when a tensor comes.
"""
