"""Trainings on ranks that die; their processes import them from here."""

import os
import signal
from pathlib import Path

from nas.training import SupernetOptions, train_supernet
from nas.training.descent import Descent
from nas.training.ranks import Ranks
from search_spaces import InputError
from tests.nas.conftest import make_data, make_tiny

STEP = 5


def train(directory: Path, options: SupernetOptions) -> None:
    """Train; rank 1 dies in the middle of a step, once, while the other waits for it."""
    rate = Descent.learning_rate

    def rate_or_death(descent: Descent) -> float:
        note = directory / "died"
        if descent.step == STEP and descent.ranks.number == 1 and not note.exists():
            note.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return rate(descent)

    Descent.learning_rate = rate_or_death  # type: ignore[method-assign]
    train_supernet(make_tiny(), make_data(), directory, options, progress=False)


def die(directory: Path) -> None:
    """Die each time, and leave a note of it."""
    (directory / str(os.getpid())).touch()
    raise MemoryError("no more of it")


def refuse() -> None:
    """Refuse on one rank what the other waits for."""
    ranks = Ranks.here()
    if not ranks.is_first:
        raise InputError("the learning rate is too high")
    with ranks.first_alone():
        pass
