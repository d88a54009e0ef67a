"""Data sets of labelled images: read, checked, split, and varied for training."""
