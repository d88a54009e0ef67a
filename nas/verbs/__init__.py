"""Hardware-aware neural architecture search: from data, a device and a budget to a measured, exported network."""

from collections.abc import Callable, Mapping
from typing import Any

from nas.verbs.export import ExportConfig, export
from nas.verbs.kit import KitConfig, kit
from nas.verbs.measure import MeasureConfig, measure
from nas.verbs.profile import ProfileConfig, profile
from nas.verbs.run import RunConfig, run
from nas.verbs.search import SearchConfig, search
from nas.verbs.show import ShowConfig, show
from nas.verbs.spaces import SpacesConfig, spaces
from nas.verbs.train import TrainConfig, train

__all__ = [
    "VERBS",
    "ExportConfig",
    "KitConfig",
    "MeasureConfig",
    "ProfileConfig",
    "RunConfig",
    "SearchConfig",
    "ShowConfig",
    "SpacesConfig",
    "TrainConfig",
    "export",
    "kit",
    "measure",
    "profile",
    "run",
    "search",
    "show",
    "spaces",
    "train",
]

VERBS: Mapping[str, Callable[[Any], Mapping[str, Any]]] = {
    "spaces": spaces,
    "profile": profile,
    "kit": kit,
    "train": train,
    "search": search,
    "export": export,
    "run": run,
    "measure": measure,
    "show": show,
}
