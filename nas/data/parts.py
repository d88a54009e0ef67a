"""What holds for the parts of every data set, whatever its examples are."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from nas.data.options import DataOptions
from search_spaces.errors import InputError

TEST_FRACTION, TEST_SEED = 0.2, 0
"""Of the test part, where a source has none: fixed, so that no option can move an example from it into training."""


def require_whole(problems: Sequence[object], options: DataOptions, examples: str) -> None:
    """Raise if some examples cannot be used, each for a reason, and may not be left out."""
    if problems and not options.skip_corrupt:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InputError(f"{problems[0]}{more}; mend the data, or leave out such {examples} with --data.skip-corrupt")


def repetitions(digests: Mapping[str, Collection[bytes]], options: DataOptions, examples: str) -> Iterator[str]:
    """Yield a note for a part with examples that an earlier part has too, told by their content.

    Args:
        digests: of the examples of each part, in the order of the parts.
        options: that say whether the test part is another source.
        examples: what they are called, in the plural.

    Raises:
        InputError: that other source has no example of its own.
    """
    seen: set[bytes] = set()
    for part, found in digests.items():
        n_seen = sum(digest in seen for digest in found)
        if part == "test" and options.test_source and n_seen == len(found):
            raise InputError(
                f"all {examples} of {options.test_source} are also trained or validated on: test on others"
            )
        if n_seen:
            yield f"has {n_seen} {part} {examples} that are also in an earlier part"
        seen.update(found)
