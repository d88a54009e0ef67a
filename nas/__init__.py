"""Supernet training, search under hard constraints, export of the found network."""
