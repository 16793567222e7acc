"""Primitives of JAX, and the calls that end in them. Importing its modules imports JAX and registers the handlers.

``handlers`` has the C library that XLA calls; ``define`` makes a primitive of its rules, ``composed`` the three of a
function whose tangent is a composition; ``products``, ``paths``, ``maps`` have the rules; ``calls`` is what the rest
of the package calls when a JAX array comes.
"""
