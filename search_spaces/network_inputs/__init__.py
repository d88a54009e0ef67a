"""How raw points become a network's inputs, in NumPy alone: one file a space, which goes with an exported network."""
