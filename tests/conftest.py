"""Settings of all tests."""

import sys
from pathlib import Path

import torch
from hypothesis import settings

# Before tests/, which pytest puts first and whose folders are named as the packages are.
sys.path.insert(0, str(Path(__file__).parents[1]))

# Waiting threads spin, and on a busy machine they cost many times what a second core gives.
torch.set_num_threads(1)

settings.register_profile("default", deadline=None)
settings.load_profile("default")
