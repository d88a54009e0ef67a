"""A source is there, and not empty, before it is said to be of the wrong kind."""

from pathlib import Path

import pytest

from nas.data.loading import examples_of
from search_spaces import InputError


def test_named_sources_and_files_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.npz").touch()
    (tmp_path / "a.parquet").touch()
    sources = ["digits", "synthetic_scenes", "synthetic_objects", str(tmp_path / "a.npz"), str(tmp_path / "a.parquet")]
    assert [examples_of(source) for source in sources] == ["images", *["clouds"] * 3, "images"]


@pytest.mark.parametrize("missing", ["cloud.npz", "none.npz", "photo"])
def test_a_missing_source_is_told_with_names_that_come_close(tmp_path: Path, missing: str) -> None:
    (tmp_path / "clouds.npz").touch()
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match=r"unknown data source in .*(clouds\.npz|photos)"):
        examples_of(str(tmp_path / missing))


def test_a_missing_folder_is_told() -> None:
    with pytest.raises(InputError, match=r"no such data source '/no/such/file\.npz': there is no folder /no/such"):
        examples_of("/no/such/file.npz")


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / ".hidden").touch()
    with pytest.raises(InputError, match="is empty: expected images in a folder for each class, Parquet files, or"):
        examples_of(str(tmp_path))
