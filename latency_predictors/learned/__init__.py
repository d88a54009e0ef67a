"""Latencies learned from measured networks of a space, by what their plans are made of."""
