"""Which parts a data source consists of, told from the names of its files and folders."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from nas.data.images.digits import read_digits
from nas.data.images.examples import Examples
from nas.data.images.folders import is_hidden, read_class_folders, subfolders
from nas.data.images.parquet import read_parquet
from nas.data.source import DIGITS, require_source
from search_spaces.errors import InputError

PART_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}

Parts = Mapping[str, Callable[[], Examples]]


def find_parts(source: str) -> Parts:
    """Return how to read each part of a source: 'train', and 'validation' and 'test' if it has them.

    Raises:
        InputError: there is no such source, or it is not clear which part a file belongs to.
    """
    require_source(source)
    path = Path(source).expanduser()
    if source == DIGITS:
        return {"train": read_digits}
    if path.is_file() and path.suffix != ".parquet":
        raise InputError(
            f"{source} is a file of no known kind: expected Parquet (.parquet), point clouds (.npz), or a folder"
        )
    if path.is_file():
        return {"train": partial(read_parquet, [path])}
    files = sorted(file for file in path.rglob("*.parquet") if not is_hidden(file.relative_to(path)))
    if files:
        return {part: partial(read_parquet, found) for part, found in _files_by_part(path, files).items()}
    return _part_folders(path) or {"train": partial(read_class_folders, path)}


def _files_by_part(folder: Path, files: Sequence[Path]) -> Mapping[str, list[Path]]:
    """Group Parquet files by the part in their name or, without one, in the nearest folder's name."""
    by_part: dict[str | None, list[Path]] = defaultdict(list)
    for file in files:
        inner = file.relative_to(folder).with_suffix("")
        words = (word for name in reversed(inner.parts) for word in re.split(r"[^a-z]+", name.lower()))
        by_part[next((PART_NAMES[word] for word in words if word in PART_NAMES), None)].append(file)
    unclear = by_part.pop(None, [])
    if unclear and by_part:
        raise InputError(
            f"{unclear[0]} belongs to no part, unlike other files in {folder}: "
            "put train, validation or test into its name, or move it away"
        )
    return {"train": unclear} if unclear else {part: found for part, found in by_part.items() if part}


def _part_folders(folder: Path) -> Parts:
    """Return the parts among the subfolders; a class may be called 'test' too, but has no folders inside."""
    named = [(PART_NAMES.get(path.name.lower()), path) for path in subfolders(folder)]
    return {part: partial(read_class_folders, path) for part, path in named if part and subfolders(path)}
