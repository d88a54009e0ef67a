"""Reports of comparisons: tables in Markdown, and the place in a document that a table is kept in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Section:
    """The place between `<!-- NAME -->` and `<!-- end of NAME -->` in a document; looked for before there is a text.

    Raises:
        InputError: the document cannot be read, or has no such lines.
    """

    document: Path
    name: str

    def __post_init__(self) -> None:
        if not self.document.is_file():
            raise InputError(f"{self.document} is no file: expected a document with {self._lines}")
        content = self._content()
        if self._begin not in content or self._end not in content.partition(self._begin)[2]:
            raise InputError(f"{self.document} has no {self._lines}: add them where the table is to stand")

    def replace(self, text: str) -> None:
        """Put a text in the place of what is there."""
        between = re.compile(re.escape(self._begin) + ".*?" + re.escape(self._end), re.DOTALL)
        write_text(self.document, between.sub(lambda _: self._begin + text + self._end, self._content()))

    @property
    def _begin(self) -> str:
        return f"<!-- {self.name} -->\n"

    @property
    def _end(self) -> str:
        return f"<!-- end of {self.name} -->"

    @property
    def _lines(self) -> str:
        return f"lines {self._begin.strip()} and {self._end}"

    def _content(self) -> str:
        try:
            return self.document.read_text()
        except UnicodeDecodeError:
            raise InputError(f"{self.document} is no text: expected a document with {self._lines}") from None
