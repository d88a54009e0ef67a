"""What may be bounded or lowered is called by its device, and known before anything is trained."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from latency_predictors.analytic.roofline import Roofline
from latency_predictors.device import Device
from latency_predictors.latency_model import LatencyModel
from latency_predictors.table.latency_table import LatencyTable
from nas.bounds import (
    DevicePaths,
    beside_latency,
    by_metric,
    cost_models,
    device_of,
    feasible_region,
    latency_metric,
    on,
    read_models,
    require_known_metrics,
    require_one_precision,
)
from nas.candidates import require_possible
from nas.data import Dataset
from nas.objectives import parse_budget
from nas.search_options import SearchOptions, StrategyOptions, WarmStart
from search_spaces import SearchSpace
from search_spaces.errors import InputError

FIRST, PHONE = Roofline(), Roofline(gflops=20, bandwidth_gb=5, launch_us=3)
MODELS = {"latency_ms": FIRST, "phone_latency_ms": PHONE}


def test_names_tell_devices_apart() -> None:
    for device in ("", "phone", "phone_2"):
        assert device_of(latency_metric(device)) == device
    assert [on(metric) for metric in MODELS] == ["", " on phone"]
    assert [beside_latency(metric, "measured_ms") for metric in MODELS] == ["measured_ms", "phone_measured_ms"]
    table, phone = Path("table"), Path("phone")
    assert by_metric({"phone": phone}, table) == {"latency_ms": table, "phone_latency_ms": phone}
    assert by_metric({"phone": phone}) == {"phone_latency_ms": phone}
    with pytest.raises(InputError, match="unknown device in hosts 'fone': did you mean phone"):
        read_models(by_metric({"phone": phone}), by_metric({"fone": "ssh://me@fone"}))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("my phone", "device 'my phone': expected a name of letters, digits and underscores"),
        ("2nd", "device '2nd': expected a name of letters"),
    ],
)
def test_a_name_that_a_metric_cannot_begin_with_is_refused(name: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        TypeAdapter(DevicePaths).validate_python({name: "device.json"})


def test_all_bounds_hold_in_the_region(tiny: SearchSpace) -> None:
    budgets = {
        "latency_ms": "60%",
        "energy_mj": "70%",
        "phone_latency_ms": "50%",
        "phone_energy_mj": "90%",
        "macs": "60%",
    }
    region = feasible_region(MODELS, tiny, budgets)
    costs = cost_models(MODELS, tiny, budgets)
    assert region.bounds == {metric: parse_budget(text, costs[metric]) for metric, text in budgets.items()}
    expected = PHONE.cost_model(tiny).predict(region.space.encode([tiny.largest()]))
    assert costs["phone_latency_ms"].predict(tiny.encode([tiny.largest()])) == expected
    assert not region.contains(tiny.encode([tiny.largest()])).any()
    assert region.contains(tiny.encode([tiny.smallest()])).all()


@pytest.mark.parametrize(
    ("bounded", "lowered", "told"),
    [
        ({"latency_ms": "50%"}, ("phone_latency_ms",), "bounds latency_ms: that is what the budget bounds"),
        ({"macs": "50%"}, (), "device phone does nothing unless its latency, or .*: say --bounds phone_lat"),
        ({"phone_latency": "8ms"}, (), "unknown metric in bounds 'phone_latency': did you mean phone_latency_ms"),
        ({}, ("fone_latency_ms",), "unknown metric in search.costs 'fone_latency_ms': did you mean phone_latency_ms"),
        *(
            ({"phone_latency_ms": text}, (), rf"budget '{text}' of phone_latency_ms: expected .* such as 2\.5ms")
            for text in ("8", "-8ms", "nanms", "8us", "101%")
        ),
    ],
)
def test_what_is_unknown_or_does_nothing_is_refused(
    tiny: SearchSpace, bounded: dict[str, str], lowered: tuple[str, ...], told: str
) -> None:
    kinds = {metric: type(model) for metric, model in MODELS.items()}
    require_known_metrics({"phone_latency_ms": "8ms"}, SearchOptions(costs=("macs", "energy_mj")), kinds, tiny)
    require_known_metrics({}, SearchOptions(costs=("phone_latency_ms",)), kinds, tiny)
    require_known_metrics({"phone_energy_mj": "2mj"}, SearchOptions(), kinds, tiny)
    with pytest.raises(InputError, match=told):
        require_known_metrics(bounded, SearchOptions(costs=lowered), kinds, tiny)


@pytest.mark.parametrize(
    ("bounded", "options", "told"),
    [
        (
            {"macs": "50%"},
            SearchOptions(warm_start=WarmStart("macs")),
            "bounds macs: the zero-cost proxy is called that, too",
        ),
        (
            {"macs": "50%"},
            SearchOptions(evaluator="zero_cost", proxy="macs"),
            "bounds macs: the zero-cost proxy is called",
        ),
        ({}, SearchOptions(evaluator="zero_cost", proxy="macs", costs=("macs",)), "search.costs macs: the zero-cost"),
    ],
)
def test_a_proxy_by_the_name_of_a_bound_is_refused(
    tiny: SearchSpace, bounded: dict[str, str], options: SearchOptions, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        require_known_metrics(bounded, options, {"latency_ms": Roofline}, tiny)


def test_what_no_latency_model_tells_and_what_lacks_a_unit_is_named(tiny: SearchSpace) -> None:
    kinds: dict[str, type[LatencyModel]] = {"latency_ms": Roofline, "phone_latency_ms": LatencyTable}
    with pytest.raises(InputError, match=r"model on phone knows phone_latency_ms alone; give --devices phone= a roof"):
        require_known_metrics({"phone_energy_mj": "2mj"}, SearchOptions(), kinds, tiny)
    with pytest.raises(InputError, match=r"budget '8' of phone_latency_ms: expected .* such as 2\.5ms"):
        feasible_region(MODELS, tiny, {"phone_latency_ms": "8"})
    with pytest.raises(InputError, match="raise the bound of macs to at least that"):
        feasible_region(MODELS, tiny, {"macs": "1macs"})


def test_a_strategy_says_early_which_bounds_it_cannot_keep(tiny: SearchSpace, data: Dataset) -> None:
    region = feasible_region({}, tiny, {"peak_activation_bytes": "50%"})
    require_possible(data, region, SearchOptions())
    descending = SearchOptions(evaluator="shared_weights", strategy=StrategyOptions("fbnet"))
    require_possible(data, feasible_region({}, tiny, {"macs": "50%"}), descending)
    with pytest.raises(InputError, match="peak_activation_bytes is no sum over blocks"):
        require_possible(data, region, descending)


def test_devices_compute_in_one_number_format() -> None:
    float32, int8 = Device(), Device(precision="int8")
    require_one_precision([("latency_ms", None), ("phone_latency_ms", int8), ("board_latency_ms", int8)])
    with pytest.raises(InputError, match="board_latency_ms was measured in float32, phone_latency_ms in int8: one"):
        require_one_precision([("latency_ms", None), ("phone_latency_ms", int8), ("board_latency_ms", float32)])
