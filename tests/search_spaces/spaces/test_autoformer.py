"""Vision transformers read whole patches, of images of any size that has them."""

import pytest
import torch

import search_spaces
from search_spaces import InputError


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("autoformer_32", {"resolution": 30}, "resolution 30: expected a multiple of the patch, such as 32"),
        ("autoformer_32", {"patch": 5}, "resolution 32: expected a multiple of the patch, such as 35"),
        ("autoformer_tiny", {"resolution": 8}, "resolution 8: expected a multiple of the patch, such as 16"),
        (
            "autoformer_32",
            {"resolution": 16, "patch": 5},
            "resolution 16: expected a multiple of the patch, such as 20",
        ),
        ("autoformer_32", {"patch": 0}, "patch 0: "),
        ("autoformer_32", {"depths": ()}, "depths \\(\\): "),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(name: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=f"space {name}: {message}") as error:
        search_spaces.load(name, **options)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(("side", "patch"), [(8, 2), (16, 4), (24, 4), (32, 4), (48, 4)])
@pytest.mark.parametrize("channels", [1, 3])
def test_small_images_of_any_size_are_read(side: int, patch: int, channels: int) -> None:
    space = search_spaces.load("autoformer_32", resolution=side, patch=patch, in_channels=channels)
    for architecture in (space.smallest(), space.largest()):
        images = space.prepare(torch.randn(2, channels, 8, 8), architecture)
        assert space.build(architecture)(*images).shape == (2, 10)


@pytest.mark.parametrize("options", [{"relative_position": False}, {"pooling": "class"}])
def test_options_change_the_network(options: dict[str, object]) -> None:
    plain, other = search_spaces.load("autoformer_32"), search_spaces.load("autoformer_32", **options)
    assert plain.plan(plain.largest()) != other.plan(other.largest())
    assert plain.id != other.id
