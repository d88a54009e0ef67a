"""Settings of all tests."""

import os
import sys
from pathlib import Path

# Waiting threads spin, and beside other tests they cost many times what a second core gives. Commands that tests start
# read these too; so this comes before NumPy is imported.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import pytest
from hypothesis import settings

# Before tests/, which pytest puts first and whose folders are named as the packages are.
sys.path.insert(0, str(Path(__file__).parents[1]))

settings.register_profile("default", deadline=None, max_examples=30)  # each time others
settings.load_profile("default")

LONGEST = ("test_readme.py", "test_contract.py", "test_strategy_contract.py", "test_run.py", "test_commands.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: a process that begins one at the end keeps the others waiting."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
