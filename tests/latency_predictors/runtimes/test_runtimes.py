"""Every runtime that is installed here computes what torch does, and is measured."""

import pytest

from latency_predictors import runtimes
from latency_predictors.device import Device, MeasureOptions
from latency_predictors.measuring import measure
from latency_predictors.model import Model, block_models
from latency_predictors.on_device.runner import difference
from search_spaces import InputError, SearchSpace

SHORT = MeasureOptions(warmup_runs=1, runs_per_visit=3, min_rounds=2, min_seconds=0, max_seconds=1e-9)


@pytest.fixture(scope="module")
def models(small: SearchSpace) -> dict[str, Model]:
    """The first and the last block of a network, whose inputs have different forms."""
    plan = small.plan(small.smallest())
    first, *_, last = plan
    return dict(zip((first, last), block_models([plan[first], plan[last]], 1), strict=True))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of libraries about themselves
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "torch_compiled")) for name in runtimes.names()]
)
def test_an_installed_runtime_computes_and_is_measured(name: str, models: dict[str, Model]) -> None:
    try:
        runtime = runtimes.load(name)
    except InputError as error:
        pytest.skip(str(error))
    for precision in runtime.precisions:
        device = Device.from_json({"runtime": name, "precision": precision})
        assert set(runtime.fingerprint(device)) == set(runtime.packages)
        found = measure(device, models, options=SHORT)
        assert all(0 < measurement.minimum_ms <= measurement.median_ms for measurement in found.values())
        for model in models.values():
            runner = runtime.load(runtime.convert(model, device), device)
            runner.run()
            assert difference(runner.output(), model.expected()) < (1e-5 if precision == "float32" else 0.1)
