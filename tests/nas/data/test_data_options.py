import pytest
from pydantic import ValidationError

from nas.data import DataOptions


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("source", ""),
        ("validation_fraction", 0),
        ("validation_fraction", 0.5),
        ("image_size", 4),
        ("image_size", 4096),
        ("channels", 2),
        ("memory_gb", -1),
        ("split_seed", -1),
        ("shuffle", True),
    ],
)
def test_values_out_of_bounds_and_unknown_options_are_refused(option, value):
    with pytest.raises(ValidationError, match=option):
        DataOptions(**{"source": "digits", option: value})
