"""Latencies of a new device from a few measurements, on published tables."""
