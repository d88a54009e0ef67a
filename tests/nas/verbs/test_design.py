"""Which networks are chosen to be measured."""

from pathlib import Path

from nas.verbs import DesignConfig, design
from nas.verbs.space_config import SpaceConfig

SPACE = SpaceConfig("nasbench201", {"cells": 1, "channels": 4, "resolution": 8})


def test_the_networks_to_choose_from_follow_the_seed(tmp_path: Path) -> None:
    def chosen(name: str, seed: int) -> str:
        return Path(design(DesignConfig(tmp_path / name, SPACE, networks=3, seed=seed))["networks"]).read_text()

    assert chosen("first", 0) == chosen("again", 0) != chosen("other", 1)
