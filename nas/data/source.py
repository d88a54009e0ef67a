"""What can be said of a data source before anybody looks inside."""

from pathlib import Path

from search_spaces.errors import InputError, unknown

DIGITS, SCENES, OBJECTS = "digits", "synthetic_scenes", "synthetic_objects"
NAMED = (DIGITS, SCENES, OBJECTS)
"""The sources that are no files."""

_FILES = (".parquet", ".npz")


def require_source(source: str) -> None:
    """Raise unless a source is one of those by name, a file, or a folder that holds something.

    Raises:
        InputError: with the names there are that come close.
    """
    path = Path(source).expanduser()
    if source in NAMED:
        return
    if not path.parent.is_dir():
        raise InputError(f"no such data source {str(path)!r}: there is no folder {path.parent}")
    if not path.exists():
        beside = sorted(entry.name for entry in path.parent.iterdir() if entry.is_dir() or entry.suffix in _FILES)
        raise unknown(f"data source in {path.parent.absolute()}", path.name, [*NAMED, *beside])
    if path.is_dir() and all(entry.name.startswith(".") for entry in path.iterdir()):
        raise InputError(f"{path} is empty: expected images in a folder for each class, Parquet files, or point clouds")
