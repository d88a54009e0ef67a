"""Image folders: one subfolder per class, optionally below one folder per part."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from nas.data.images.examples import Examples
from search_spaces.errors import InputError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})


@dataclass(frozen=True)
class _ImageFiles:
    paths: Sequence[Path]

    def read(self, row: int) -> bytes:
        return self.paths[row].read_bytes()

    def place(self, row: int) -> str:
        return str(self.paths[row])


def subfolders(folder: Path) -> list[Path]:
    """Return the visible folders in `folder`, by name."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def read_class_folders(folder: Path) -> Examples:
    """Return the images below each subfolder of `folder`, labelled with the subfolder's name.

    Raises:
        InputError: no subfolder holds an image.
    """
    folders = subfolders(folder)
    paths = [_image_paths(path) for path in folders]
    if not any(paths):
        raise InputError(
            f"{folder} holds neither Parquet files nor class folders with images, nor point clouds (.npz files, or "
            "velodyne/ and labels/, below sequences/ or directly): expected one of them"
        )
    labels = torch.tensor([label for label, found in enumerate(paths) for _ in found])
    files = _ImageFiles([path for found in paths for path in found])
    return Examples(tuple(path.name for path in folders), labels, torch.arange(len(labels)), files)


def _image_paths(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return sorted(path for path in found if not is_hidden(path.relative_to(folder)))


def is_hidden(path: Path) -> bool:
    """Tell whether a file, or a folder on the way to it, has a name that begins with a dot."""
    return any(name.startswith(".") for name in path.parts)
