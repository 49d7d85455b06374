"""Frozen values: what the rest of the program talks about."""
