"""Benchmarks: what the project costs, each beside what the same work costs without it."""
