"""Experiments: configurations and scripts that use the public API alone."""
