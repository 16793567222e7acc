"""Program transformations, one per file; each is a pure function from program to program."""
