"""From scheduled programs to source text: Python decides every string, Jinja templates arrange them."""
