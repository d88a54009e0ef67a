"""Copies have the URL as their name, and lie to each other as what is at the URLs does."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.remote.working_copy import at_hand, discard, local, told, told_document, url_of

NAMES = st.lists(st.text("abc-_.%~ é", min_size=1).filter(lambda name: name.strip(".")), min_size=1, max_size=4)


@given(st.sampled_from(["s3://bucket", "file://", "sftp://me@host:2222", "gs://a.b_c"]), NAMES)
def test_a_url_and_its_copy_are_each_others_name(host: str, names: list[str]) -> None:
    url = "/".join([host, *names])
    assert url_of(local(url)) == url
    assert told(f"{local(url)} is in use; {local(url)}.json is not") == f"{url} is in use; {url}.json is not"
    assert local(f"{url}/deeper") == local(url) / "deeper"


def test_a_url_may_end_in_a_slash_and_not_lead_out_of_its_host() -> None:
    assert local("s3://bucket/x/") == local("s3://bucket/x")
    assert local("s3://bucket/../../x") == local("s3://bucket/x")
    assert url_of(Path("runs/x")) is None


def test_documents_name_urls_at_any_depth() -> None:
    copy = local("s3://bucket/x")
    document = told_document({"output": str(copy), "all": [{"path": f"{copy}/y"}], "n": (1, 2.5, None)})
    assert document == {"output": "s3://bucket/x", "all": [{"path": "s3://bucket/x/y"}], "n": [1, 2.5, None]}


def test_what_is_asked_for_is_fetched_once(tmp_path: Path) -> None:
    (tmp_path / "x" / "deep").mkdir(parents=True)
    (tmp_path / "x" / "deep" / "y").write_text("one")
    url = f"file://{tmp_path}/x"
    try:
        copy = at_hand(url)
        assert (copy / "deep" / "y").read_text() == "one"
        (tmp_path / "x" / "deep" / "y").write_text("two")
        assert at_hand(copy / "deep") == copy / "deep"
        assert (at_hand(f"{url}/deep/y")).read_text() == "one"
        assert not at_hand(f"file://{tmp_path}/absent").exists()
        discard()
        assert not copy.exists()
        assert (at_hand(url) / "deep" / "y").read_text() == "two"
        discard(copy / "deep")
        assert (at_hand(f"{url}/deep") / "y").read_text() == "two"
    finally:
        discard()


def test_documents_alone_are_fetched_if_no_more_is_wanted(tmp_path: Path) -> None:
    for name in ("run.json", "weights", "train/run.json"):
        (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / name).write_text("{}")
    try:
        copy = at_hand(f"file://{tmp_path}/x", documents=True)
        assert [path.name for path in copy.iterdir()] == ["run.json"]
        assert (at_hand(f"file://{tmp_path}/x") / "train" / "run.json").exists()
    finally:
        discard()


@pytest.mark.parametrize("path", ["runs/x", "/runs/x", "x"])
def test_a_path_is_as_it_was(path: str) -> None:
    assert at_hand(path) == at_hand(Path(path)) == Path(path)
