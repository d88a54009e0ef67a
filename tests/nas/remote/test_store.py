"""Files at URLs, by the protocols that need no package and no server."""

import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from nas.remote.store import Store, is_url
from search_spaces.errors import InputError


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}://{tmp_path}/there/run"


@pytest.mark.parametrize("place", ["runs/x", "/runs/x", "s3:/runs/x", "C:\\runs", "40%", ""])
def test_a_path_is_no_url(place: str) -> None:
    assert not is_url(place)
    assert not is_url(Path(place))


def test_what_is_put_is_listed_read_and_fetched_until_it_is_removed(url: str, tmp_path: Path) -> None:
    store, content = Store(url), tmp_path / "content"
    assert store.files() == {}
    assert store.read("a/b.json") is None
    content.write_text("one")
    store.put("a/b.json", content)
    store.put(".lock", content)
    (first,) = store.files().items()
    assert store.read(".lock") == b"one"
    content.write_text("another")
    store.put("a/b.json", content)
    (second,) = store.files().items()
    assert first[0] == second[0] == "a/b.json"
    assert first[1] != second[1]
    store.fetch(["a/b.json"], tmp_path / "here")
    assert (tmp_path / "here" / "a" / "b.json").read_text() == "another"
    assert list(Store(f"{url}/a/b.json").files()) == [""]
    Store(f"{url}/a/b.json").fetch([""], tmp_path / "alone.json")
    assert (tmp_path / "alone.json").read_text() == "another"
    store.remove("a/b.json")
    store.remove("a/b.json")
    assert store.files() == {}


def test_a_file_is_seen_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, content = Store(f"file://{tmp_path}/there"), tmp_path / "content"
    content.write_text("one")
    store.put("x", content)
    content.write_text("two")
    with monkeypatch.context() as patch:
        patch.setattr(type(store._files), "mv", _fail)
        with pytest.raises(InputError, match="there cannot be written: the cable"):
            store.put("x", content)
    assert store.read("x") == b"one"
    assert list(store.files()) == ["x"]


def _fail(*_: object) -> None:
    raise OSError("the cable\nis out")


def test_what_is_cut_short_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, content = Store(f"file://{tmp_path}/there"), tmp_path / "content"
    content.write_text("one")
    store.put("x", content)
    store.put("y", content)

    def half(_: list[str], to: list[str]) -> None:
        Path(to[0]).write_text("o")
        _fail()

    with monkeypatch.context() as patch:
        patch.setattr(store._files, "get", half)
        with pytest.raises(InputError, match="there cannot be read: the cable is out"):
            store.fetch(["x", "y"], tmp_path / "here")
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("s4://bucket/x", "unknown protocol 's4': did you mean s3"),
        ("filecache::s3://bucket/x", "unknown protocol 'filecache::s3'"),
        ("hdf://x", "unknown protocol 'hdf': did you mean hdfs"),
        ("smb://host/x", "smb://host/x needs a package that is not installed: .*smbprotocol"),
        ("ftp://127.0.0.1:1/x", r"ftp://127.0.0.1:1/x cannot be reached: .*refused"),
        ("sftp://user:hidden@host/x", "a URL of sftp holds a password or a query: leave it out"),
        ("sftp://user:hid/hidden@host/x", "FSSPEC_SFTP_PASSWORD"),
        ("https://host/x.npz?signature=hidden", "a URL of https holds a password or a query"),
    ],
)
def test_a_bad_url_is_told_in_one_line_without_its_secret(url: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as refused:
        Store(url)
    assert "\n" not in str(refused.value)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("url", ["memory://user@host:22/x", "memory://[::1]:22/x", "memory://bucket/a:b@c/x"])
def test_users_and_ports_are_no_secret(url: str) -> None:
    assert Store(url).files() == {}


def test_a_place_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.write_text("one")
    with pytest.raises(InputError, match=r"file:///proc/x cannot be written: .*/proc/x"):
        Store("file:///proc/x").put("y", content)


def test_names_that_lead_outside_are_refused() -> None:
    store = Store("memory://bucket")
    store._files.pipe_file("/bucket/a/../../../x", b"")
    try:
        with pytest.raises(InputError, match="which lies outside"):
            store.files()
    finally:
        store._files.store.clear()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The address of a server of the files in a folder."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_file_of_a_web_server_is_fetched(web: str, tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text("{}")
    store = Store(f"{web}/table.json")
    assert list(store.files()) == [""]
    store.fetch([""], tmp_path / "here" / "table.json")
    assert (tmp_path / "here" / "table.json").read_text() == "{}"
    assert Store(f"{web}/absent.json").files() == {}
    with pytest.raises(InputError, match="cannot be written"):
        Store(f"{web}/absent.json").put("", tmp_path / "table.json")
