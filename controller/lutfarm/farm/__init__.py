"""A farm as a Python program has it: the same whether it is served elsewhere or of a home on this machine."""
