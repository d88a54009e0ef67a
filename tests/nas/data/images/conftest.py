"""Small data sets made on the spot."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

WriteParquet = Callable[..., Path]
WriteFolder = Callable[..., Path]


def encoded_image(seed: int, mode: str = "RGB", size: tuple[int, int] = (12, 10), kind: str = "PNG") -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(file, kind)
    return file.getvalue()


@pytest.fixture
def image() -> Callable[..., bytes]:
    """A noise image file, different for every seed."""
    return encoded_image


@pytest.fixture
def write_parquet(tmp_path: Path) -> WriteParquet:
    """Writes `labels` with noise images (or `files`) in the Hugging Face layout below tmp_path."""

    def write(
        name: str,
        labels: Sequence[int | None],
        files: Sequence[bytes | None] | None = None,
        names: Sequence[str] | None = None,
        columns: tuple[str, str] = ("image", "label"),
        first_seed: int = 0,
    ) -> Path:
        found = [encoded_image(first_seed + i) for i in range(len(labels))] if files is None else files
        images = pa.array(
            [{"bytes": file, "path": None} for file in found],
            pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        )
        table = pa.table({columns[0]: images, columns[1]: pa.array(labels, pa.int64())})
        if names is not None:
            features = {columns[1]: {"_type": "ClassLabel", "names": list(names)}}
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        return path

    return write


@pytest.fixture
def write_folder(tmp_path: Path) -> WriteFolder:
    """Writes `n` noise images into each named class folder below tmp_path / name."""

    def write(name: str, classes: Sequence[str], n: int, first_seed: int = 0) -> Path:
        for c, label in enumerate(classes):
            folder = tmp_path / name / label
            folder.mkdir(parents=True)
            for i in range(n):
                (folder / f"{i:03}.png").write_bytes(encoded_image(first_seed + 1000 * c + i))
        return tmp_path / name

    return write
