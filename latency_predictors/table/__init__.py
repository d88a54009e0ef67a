"""Latencies put together from blocks: measured tables, their calibration on whole networks, published tables."""
