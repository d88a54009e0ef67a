"""Reports of comparisons: tables in Markdown, and the place in a document that a table is kept in."""

import re
from collections.abc import Sequence
from pathlib import Path

from search_spaces.errors import InputError
from search_spaces.storage import write_atomic


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a file whole."""
    write_atomic(path, lambda temporary: temporary.write_text(text))


def replace_section(document: Path, name: str, text: str) -> None:
    """Put a text between `<!-- NAME -->` and `<!-- end of NAME -->` in a document, in the place of what is there.

    Raises:
        InputError: the document has no such lines.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    content = document.read_text()
    if begin not in content or end not in content.partition(begin)[2]:
        raise InputError(f"{document} has no lines {begin.strip()} and {end} for the table to stand between")
    between = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    write_text(document, between.sub(lambda _: begin + text + end, content))
