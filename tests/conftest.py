"""Settings of all tests."""

import os
import sys
from pathlib import Path

# Waiting threads spin, and beside other tests they cost many times what a second core gives. Commands that tests start
# read these too; so this comes before NumPy is imported.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

from hypothesis import settings

# Before tests/, which pytest puts first and whose folders are named as the packages are.
sys.path.insert(0, str(Path(__file__).parents[1]))

settings.register_profile("default", deadline=None)
settings.load_profile("default")
