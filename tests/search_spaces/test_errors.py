"""Complaints are one line: the value, what was expected, how to mend it."""

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator

from search_spaces.errors import InputError, invalid, unknown


class Training(BaseModel, extra="forbid"):
    epochs: int = Field(10, ge=1)
    rates: list[float] = []

    @field_validator("epochs")
    @classmethod
    def _even(cls, epochs: int) -> int:
        if epochs % 2:
            raise ValueError("Must be even")
        return epochs


def complaint(**options: object) -> str:
    with pytest.raises(ValidationError) as caught:
        Training.model_validate(options)
    error = invalid("training", caught.value)
    assert isinstance(error, InputError)
    return str(error)


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    error = unknown("space", "mobilnet", ["mobilenet", "vision_transformer"])
    assert isinstance(error, InputError)
    assert str(error) == "unknown space 'mobilnet': did you mean mobilenet?"


def test_a_name_unlike_any_is_told_with_all() -> None:
    assert str(unknown("kernel", 4, [3, 5])) == "unknown kernel '4': known: 3, 5"


def test_a_bad_value_is_told_with_its_place() -> None:
    assert complaint(epochs=0) == "training: epochs 0: input should be greater than or equal to 1"
    assert complaint(rates=[0.1, "fast"]).startswith("training: rates.1 'fast': input should be a valid number")
    assert complaint(epochs=3) == "training: epochs 3: must be even"


def test_what_is_missing_is_named_without_the_rest() -> None:
    class Job(BaseModel):
        data: str
        epochs: int = 3

    with pytest.raises(ValidationError) as caught:
        Job.model_validate({"epochs": 5})
    assert str(invalid("option", caught.value)) == "option: data is missing, and has no default: give it"


def test_only_the_first_of_several_complaints_is_told() -> None:
    message = complaint(epochs=0, rates=["fast"], speed=1)
    assert "epochs" in message
    assert "rates" not in message
    assert "\n" not in message


def test_a_complaint_of_ones_own_making_is_told_as_it_is() -> None:
    class Named(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def _known(cls, name: str) -> str:
            raise unknown("Space", name, ["Mobile"])

    with pytest.raises(ValidationError) as caught:
        Named.model_validate({"name": "Mobil"})
    assert str(invalid("option", caught.value)) == "unknown Space 'Mobil': did you mean Mobile?"
