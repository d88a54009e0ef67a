"""A section of a document is replaced, again and again, and nothing else."""

from pathlib import Path

import pytest

from experiments.report import Section, markdown_table
from search_spaces import InputError

DOCUMENT = "# Title\n\n<!-- a -->\n<!-- end of a -->\n\n<!-- b -->\nkept\n<!-- end of b -->\n"


def test_a_section_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(DOCUMENT)
    for text in ("| x |\n", r"\1 and more" + "\n"):
        Section(path, "a").replace(text)
        assert path.read_text() == DOCUMENT.replace("<!-- a -->\n", "<!-- a -->\n" + text)


def test_a_document_without_the_section_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(DOCUMENT)
    with pytest.raises(InputError, match="has no lines <!-- c --> and <!-- end of c -->"):
        Section(path, "c")
    assert path.read_text() == DOCUMENT


def test_a_table_has_a_line_a_row() -> None:
    assert markdown_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
