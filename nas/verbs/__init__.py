"""Hardware-aware neural architecture search: from data, a device and a budget to a measured, exported network."""

from collections.abc import Callable, Mapping
from typing import Any

from nas.verbs.design import DesignConfig, design
from nas.verbs.export import ExportConfig, export
from nas.verbs.fit import FitConfig, fit
from nas.verbs.kit import KitConfig, kit
from nas.verbs.logs import LogsConfig, logs
from nas.verbs.measure import MeasureConfig, measure
from nas.verbs.profile import ProfileConfig, profile
from nas.verbs.run import RunConfig, run
from nas.verbs.search import SearchConfig, search
from nas.verbs.show import ShowConfig, show
from nas.verbs.spaces import SpacesConfig, spaces
from nas.verbs.status import StatusConfig, status
from nas.verbs.stop import StopConfig, stop
from nas.verbs.strategies import StrategiesConfig, strategies
from nas.verbs.submit import SubmitConfig, submit
from nas.verbs.train import TrainConfig, train

__all__ = [
    "VERBS",
    "DesignConfig",
    "ExportConfig",
    "FitConfig",
    "KitConfig",
    "LogsConfig",
    "MeasureConfig",
    "ProfileConfig",
    "RunConfig",
    "SearchConfig",
    "ShowConfig",
    "SpacesConfig",
    "StatusConfig",
    "StopConfig",
    "StrategiesConfig",
    "SubmitConfig",
    "TrainConfig",
    "design",
    "export",
    "fit",
    "kit",
    "logs",
    "measure",
    "profile",
    "run",
    "search",
    "show",
    "spaces",
    "status",
    "stop",
    "strategies",
    "submit",
    "train",
]

VERBS: Mapping[str, Callable[[Any], Mapping[str, Any]]] = {
    "spaces": spaces,
    "strategies": strategies,
    "profile": profile,
    "kit": kit,
    "design": design,
    "fit": fit,
    "train": train,
    "search": search,
    "export": export,
    "run": run,
    "measure": measure,
    "show": show,
    "submit": submit,
    "status": status,
    "logs": logs,
    "stop": stop,
}
