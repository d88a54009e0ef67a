"""A bundle that is none, or is damaged, is told in one line."""

from pathlib import Path

import pytest

import search_spaces
from nas.export import ARCHITECTURE, ONNX, REPORT, read_network, read_report
from search_spaces.errors import InputError
from search_spaces.storage import write_json


def test_a_directory_that_is_no_bundle_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no report\.json: give the output directory of `nas export`, or the"):
        read_report(tmp_path)
    with pytest.raises(InputError, match=r"holds no architecture\.json: give the output directory of `nas export`"):
        read_network(tmp_path)


def test_damaged_files_of_a_bundle_are_named(tmp_path: Path) -> None:
    write_json(tmp_path / REPORT, "report/3", {"bounds": {}})
    with pytest.raises(InputError, match=r"report\.json lacks 'latencies'"):
        read_report(tmp_path)
    space = search_spaces.load("mobilenet_v3_32", resolutions=(16,))
    document = {"space": space.to_json(), "choices": dict(space.smallest())}
    write_json(tmp_path / ARCHITECTURE, "architecture/1", document)
    (tmp_path / ONNX).write_bytes(b"cut in the middle")
    with pytest.raises(InputError, match=r"model\.onnx is not a readable ONNX file .*: export again"):
        read_network(tmp_path)
