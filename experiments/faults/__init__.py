"""What a search loses when workers, nodes or the driver die under it: `python -m experiments.faults`."""
