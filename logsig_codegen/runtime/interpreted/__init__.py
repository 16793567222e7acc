"""Kernels without a compiler: programs run on arrays, by functions with the arguments of a compiled library's.

``programs`` runs operations on rows; ``walks`` makes whole paths and streams of them; ``calls`` reads what a call along
paths asks for; ``library`` makes functions of all that.
"""
