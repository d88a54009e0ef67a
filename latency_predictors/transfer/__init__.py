"""Latencies on a new device from a few measurements and what other devices are known to need."""
