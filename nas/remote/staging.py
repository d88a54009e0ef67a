"""A verb's options with URLs, made options with paths for as long as it runs."""

import signal
import threading
import typing
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from nas.config import Leaf
from nas.remote.mirror import Mirror
from nas.remote.store import is_url
from nas.remote.working_copy import at_hand, discard
from nas.run_directory import RESULT

_OUTPUT = ("output",)


@contextmanager
def staged(options: Iterable[Leaf], document: dict[str, Any]) -> Iterator[None]:
    """Put paths for URLs wherever options take paths, in place: the output is mirrored, all else is fetched.

    Args:
        options: all that the verb takes.
        document: what was said, expanded.

    Raises:
        InputError: a URL cannot be read or written.
    """
    with ExitStack() as stack:
        stack.callback(discard)
        for leaf in sorted(options, key=lambda leaf: leaf.path != _OUTPUT):  # first, as inputs may lie within
            *parents, name = leaf.path
            holder = document
            for parent in parents:
                holder = holder.get(parent) or {}
            value = holder.get(name)
            if leaf.type is Path and is_url(value):
                if leaf.path == _OUTPUT:
                    holder[name] = stack.enter_context(mirrored(value))
                else:
                    holder[name] = at_hand(value, documents=leaf.documents)
            elif typing.get_args(leaf.type)[:1] == (Path,) and isinstance(value, list | tuple):
                holder[name] = [at_hand(one) if is_url(one) else one for one in value]
            elif typing.get_args(leaf.type)[1:] == (Path,) and isinstance(value, dict):
                holder[name] = {key: at_hand(one) if is_url(one) else one for key, one in value.items()}
        yield


@contextmanager
def mirrored(url: str) -> Iterator[Path]:
    """Give a directory of this machine for one at a URL, to be a verb's output: `with mirrored(url) as output: ...`.

    It begins as what is at the URL. From when the verb claims it, as `begin_run` does, what changes is put up, a second
    or so later; all is when the block ends, however it does, also by SIGTERM. Without that nothing is.

    Raises:
        InputError: the URL cannot be read or written, has a part in common with one that is open, or another driver has
            taken the directory over.
    """
    here, main, over = threading.get_ident(), threading.current_thread() is threading.main_thread(), False
    mirror = Mirror(url, RESULT, lambda: signal.pthread_kill(here, signal.SIGUSR1) if main else None)

    def end(number: int, _: FrameType | None) -> None:
        if not over:
            raise KeyboardInterrupt if number == signal.SIGUSR1 else SystemExit(128 + number)

    former = {number: signal.signal(number, end) for number in (signal.SIGUSR1, signal.SIGTERM)} if main else {}
    try:
        yield mirror.directory
    finally:
        over = True
        for number in former:
            signal.signal(number, end)  # others took them meanwhile, as Ray does
        try:
            mirror.close()
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
