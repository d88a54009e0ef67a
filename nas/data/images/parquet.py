"""Parquet files in the Hugging Face image layout: a column of image files and a column of labels."""

import json
import mmap
import tempfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from nas.data.images.examples import Examples
from search_spaces.errors import InputError

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "fine_label")
# rows read at once: images of 100 kB then take about 100 MB
BATCH_ROWS = 1024


class _UnpackedImages:
    """The image files of some Parquet files, copied end to end into an unnamed temporary file mapped into memory.

    Random rows are then cheap to read, and data larger than memory can be used.
    """

    def __init__(self, mapped: mmap.mmap, sizes: Sequence[int], files: Sequence[tuple[Path, int]]) -> None:
        self._mapped = mapped
        self._ends = list(accumulate(sizes, initial=0))
        self._paths = [path for path, _ in files]
        self._first_rows = list(accumulate((n_rows for _, n_rows in files), initial=0))

    def read(self, row: int) -> bytes:
        return self._mapped[self._ends[row] : self._ends[row + 1]]

    def place(self, row: int) -> str:
        file = bisect_right(self._first_rows, row) - 1
        return f"{self._paths[file]} row {row - self._first_rows[file]} (the first is row 0)"


def read_parquet(paths: Sequence[Path]) -> Examples:
    """Return the images and labels of all rows of the files.

    The classes are those that occur, named as in the files' Hugging Face metadata, else by their numbers.

    Raises:
        InputError: a file is damaged or laid out otherwise, a row has no label, or there is no row.
    """
    files: list[tuple[Path, int]] = []
    sizes: list[int] = []
    labels: list[np.ndarray] = []
    with tempfile.TemporaryFile() as unpacked:
        for path in paths:
            n_before = len(sizes)
            for images, batch_labels in _batches(path):
                unpacked.writelines(images)
                sizes += map(len, images)
                labels.append(batch_labels)
            files.append((path, len(sizes) - n_before))
        unpacked.write(b"\0")  # an empty file cannot be mapped
        unpacked.flush()
        mapped = mmap.mmap(unpacked.fileno(), 0, access=mmap.ACCESS_READ)
    if not sizes:
        raise InputError(f"{paths[0]} holds no rows: expected images with labels")
    present, compact = np.unique(np.concatenate(labels), return_inverse=True)
    return Examples(
        classes=_class_names(paths, present.tolist()),
        labels=torch.from_numpy(compact),
        rows=torch.arange(len(sizes)),
        encoded=_UnpackedImages(mapped, sizes, files),
    )


def _batches(path: Path) -> Iterator[tuple[list[bytes], np.ndarray]]:
    """Yield the image files and the int64 labels (B,) of successive rows."""
    n_read = 0
    try:
        with pq.ParquetFile(path) as file:
            image, label = _columns(path, file.schema_arrow)
            for batch in file.iter_batches(BATCH_ROWS, columns=[f"{image}.bytes", label]):
                images = pc.fill_null(pc.struct_field(batch.column(image), "bytes"), b"").to_pylist()
                yield images, _checked_labels(path, n_read, batch.column(label))
                n_read += len(images)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is not a whole Parquet file ({reason}): make or download it again") from None


def _columns(path: Path, schema: pa.Schema) -> tuple[str, str]:
    image = next((name for name in IMAGE_COLUMNS if name in schema.names), None)
    label = next((name for name in LABEL_COLUMNS if name in schema.names), None)
    if image and label and _holds_bytes(schema.field(image).type) and pa.types.is_integer(schema.field(label).type):
        return image, label
    found = ", ".join(f"{field.name}: {field.type}" for field in schema)
    raise InputError(
        f"{path} has columns {found}: expected image: struct<bytes: binary, path: string> and label: int64, "
        "the Hugging Face image layout"
    )


def _holds_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and any(
        field.name == "bytes" and (pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type))
        for field in kind
    )


def _checked_labels(path: Path, first_row: int, column: pa.Array) -> np.ndarray:
    labels: np.ndarray = pc.fill_null(column.cast(pa.int64()), -1).to_numpy()
    unlabelled = np.flatnonzero(labels < 0)
    if len(unlabelled):
        row = first_row + int(unlabelled[0])
        raise InputError(f"{path} row {row} has no label: expected an integer from 0 in every row")
    return labels


def _class_names(paths: Sequence[Path], labels: Sequence[int]) -> tuple[str, ...]:
    """Return the name of each label by the first file that names its classes."""
    names = next(filter(None, map(_names_in_metadata, paths)), None)
    if names is None:
        return tuple(str(label) for label in labels)
    if labels[-1] >= len(names):
        raise InputError(f"{paths[0]} has the label {labels[-1]}, but its metadata names only {len(names)} classes")
    return tuple(names[label] for label in labels)


def _names_in_metadata(path: Path) -> list[str] | None:
    schema = pq.read_schema(path)
    _, label = _columns(path, schema)
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[label]["names"]]
    except (KeyError, TypeError, ValueError):  # no such metadata, or a label that is a bare number
        return None
