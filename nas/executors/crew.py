"""What a dispatcher knows of workers: they are hired, sent messages, dismissed, and things happen to them."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from nas.executors.executor import Outcome
from search_spaces.plan_index import Population

Worker = Hashable


@dataclass(frozen=True)
class Ready:
    """A worker has started and waits for its first message."""

    worker: Worker


@dataclass(frozen=True)
class Done:
    """A worker has an outcome for each batch of its message.

    Attributes:
        at: when they arrived, by the crew's time: whoever asks for events may have been at something else.
    """

    worker: Worker
    outcomes: Sequence[Outcome]
    at: float


@dataclass(frozen=True)
class Lost:
    """A worker is no more, or what it was sent came to nothing.

    Attributes:
        why: for a person, one line.
        broken: whether it raised as it started or worked, rather than died.
    """

    worker: Worker
    why: str
    broken: bool = False


Event = Ready | Done | Lost


class Crew(ABC):
    """Workers, wherever they are. Time is what the crew says it is, in seconds."""

    @abstractmethod
    def now(self) -> float:
        """Return the time."""

    @abstractmethod
    def hire(self) -> Worker:
        """Ask for a worker; it is ready, or lost, at some time to come."""

    @abstractmethod
    def send(self, worker: Worker, batches: Sequence[Population]) -> None:
        """Let a worker evaluate batches, once it has done what it was sent before."""

    @abstractmethod
    def dismiss(self, worker: Worker) -> None:
        """End a worker, whatever it does; nothing more is heard of it."""

    @abstractmethod
    def events(self, timeout: float) -> list[Event]:
        """Return what has happened since the last call; wait for something, but no longer than the timeout.

        Raises:
            InputError: nothing will happen any more, and why.
        """

    @abstractmethod
    def offered(self) -> str:
        """Say in one line which workers there could be, for a person who waits for one."""
