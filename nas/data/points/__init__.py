"""Data sets of labelled point clouds: read, checked, split, and varied for training."""
