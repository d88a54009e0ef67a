"""Options from YAML and from dotted pairs, one-to-one with dataclasses."""

from pathlib import Path

import pytest

from nas.config import build, expand, leaves, override, read_yaml
from nas.verbs import RunConfig
from search_spaces.errors import InputError

MINIMAL = {"data": "digits", "budget": "40%", "output": "runs/x"}


def test_plain_values_stand_for_the_first_text_option() -> None:
    config = build(RunConfig, MINIMAL | {"space": "proxyless_mobilenet"})
    assert (config.data.source, config.space.name) == ("digits", "proxyless_mobilenet")


def test_a_plain_value_for_options_without_such_a_first_one_is_refused() -> None:
    with pytest.raises(InputError, match="option train 30: expected a mapping of epochs, "):
        build(RunConfig, MINIMAL | {"train": 30})


WANTED = {
    "warm_start": (("search", "warm_start", "proxy"), "macs"),
    "n_front": (("search", "costs"), ["macs"]),
    "cluster": (("cluster", "address"), "auto"),
}
"""Without which an option is refused, since it does nothing."""


def test_every_leaf_can_be_set_and_arrives() -> None:
    plain = build(RunConfig, MINIMAL)
    for leaf in leaves(RunConfig):
        value = getattr(_at(plain, leaf.path[:-1]), leaf.path[-1])
        document = expand(RunConfig, MINIMAL)
        override(document, leaf.path, value)
        assert build(RunConfig, document) == plain
        if isinstance(value, bool | int) and leaf.path[-1] != "channels":
            other = (not value) if isinstance(value, bool) else value + 1
            override(document, leaf.path, other)
            for name in WANTED.keys() & set(leaf.path):
                override(document, *WANTED[name])
            changed = build(RunConfig, document)
            assert getattr(_at(changed, leaf.path[:-1]), leaf.path[-1]) == other


def _at(config: object, path: tuple[str, ...]) -> object:
    for name in path:
        config = getattr(config, name)
    return config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trian": {}}, "unknown option 'trian': did you mean train"),
        ({"train": {"epoch": 3}}, "unknown option in train 'epoch': did you mean epochs"),
        ({"train": {"epochs": 0}}, "train.epochs 0: input should be greater than or equal to 1"),
        ({"train": {"epochs": "many"}}, "train.epochs 'many': input should be a valid integer"),
        ({"train": {"sampling": "sandwhich"}}, "unknown sampling 'sandwhich': did you mean sandwich"),
        ({"device": "gpu"}, "unknown device 'gpu': did you mean cpu"),
        ({"search": {"evaluator": "oracle"}}, "search.evaluator 'oracle'"),
    ],
)
def test_a_wrong_option_is_named_in_one_line(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        build(RunConfig, MINIMAL | change)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bounds_of_options_are_told_with_what_they_mean() -> None:
    told = {".".join(leaf.path): leaf.description for leaf in leaves(RunConfig)}
    assert told["search.n_evaluated"].endswith("by the proxy (at least 10)")
    assert told["train.warmup"].endswith("(at least 0, below 1)")
    assert not told["train.optimizer"].endswith(")"), "where there are none, nothing is said"


@pytest.mark.parametrize("place", [("profile", "measure"), ("finalists", "measure"), ("export", "latency", "measure")])
def test_a_least_time_of_measuring_is_below_the_most(place: tuple[str, ...]) -> None:
    document = expand(RunConfig, MINIMAL)
    override(document, (*place, "min_seconds"), 200)  # more than any default
    with pytest.raises(InputError, match=r"^measure min_seconds 200 is more than max_seconds \d+: lower min_seconds"):
        build(RunConfig, document)
    override(document, (*place, "max_seconds"), 300)
    assert _at(build(RunConfig, document), (*place, "max_seconds")) == 300


def test_a_missing_option_is_named() -> None:
    with pytest.raises(InputError, match="budget"):
        build(RunConfig, {"data": "digits", "output": "runs/x"})


def test_a_mapping_given_twice_is_merged() -> None:
    document = {"space": {"options": {"width": 1.2}}}
    override(document, ("space", "options"), {"n_classes": 5})
    assert document == {"space": {"options": {"width": 1.2, "n_classes": 5}}}


@pytest.mark.parametrize("text", ["[1, 2]", "", "a: b: c", "just text"])
def test_yaml_without_a_mapping_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"config\.yaml") as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)


def test_a_missing_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_yaml(tmp_path / "absent.yaml")
