"""Every kind of latency model is found by its file, predicts what it did, and is refused for another space."""

import json
from pathlib import Path

import numpy as np
import pytest

import search_spaces
from latency_predictors.analytic.roofline import Roofline
from latency_predictors.device import Device
from latency_predictors.fingerprint import fingerprint
from latency_predictors.latency_model import LatencyModel
from latency_predictors.learned.features import Features
from latency_predictors.learned.learned_latency import LearnedLatency
from latency_predictors.saved_models import KINDS, read_latency_model
from latency_predictors.table.published import PublishedTable
from latency_predictors.transfer.transferred_latency import TransferredLatency
from search_spaces import InputError

SPACE = search_spaces.load("nasbench201", cells=1, channels=4, resolution=8)
OTHER = search_spaces.load("nasbench201", cells=1, channels=8, resolution=8)
POPULATION = SPACE.canonical(SPACE.sample(40, np.random.default_rng(0)))
POPULATION = POPULATION[np.sort(np.unique(POPULATION, axis=0, return_index=True)[1])][:20]


@pytest.fixture(scope="module")
def models() -> dict[str, LatencyModel]:
    features, roofline = Features(SPACE), Roofline()
    measured = POPULATION, roofline.cost_model(SPACE).predict(POPULATION)
    return {
        "device.json": roofline,
        "learned.safetensors": LearnedLatency.fit(features, *measured, kinds=["ridge"]).measured_on(
            Device(threads=1), fingerprint()
        ),
        "transferred.safetensors": TransferredLatency.fit(features, [], *measured),
        "published.json": PublishedTable(SPACE, {repr(block): 1.0 + i for i, block in enumerate(SPACE.index.blocks)}),
    }


@pytest.mark.parametrize("name", ["device.json", "learned.safetensors", "transferred.safetensors", "published.json"])
def test_a_model_is_read_as_it_was(name: str, models: dict[str, LatencyModel], tmp_path: Path) -> None:
    model = models[name]
    model.save(tmp_path / name)
    again = read_latency_model(tmp_path / name)
    assert (type(again), again.device) == (type(model), model.device)
    assert again.fingerprint == model.fingerprint
    one, other = again.cost_model(SPACE), model.cost_model(SPACE)
    assert (one.metric, one.margin) == ("latency_ms", pytest.approx(other.margin))
    np.testing.assert_allclose(one.predict(POPULATION), other.predict(POPULATION))
    for ours, theirs in zip(again.tested(), model.tested(), strict=True):
        np.testing.assert_allclose(ours, theirs)


def test_a_fitted_model_is_of_one_space(models: dict[str, LatencyModel]) -> None:
    for name in ("learned.safetensors", "transferred.safetensors"):
        with pytest.raises(InputError, match="fit one to networks of this space"):
            models[name].cost_model(OTHER)
    with pytest.raises(InputError, match="profile this space, with these options"):
        models["published.json"].cost_model(OTHER)
    assert np.all(models["device.json"].cost_model(OTHER).predict(POPULATION) > 0)


def test_a_model_with_a_device_may_be_elsewhere(models: dict[str, LatencyModel]) -> None:
    moved = models["learned.safetensors"].moved("ssh://pi@board")
    assert moved.device == Device(threads=1, host="ssh://pi@board")
    assert models["learned.safetensors"].device == Device(threads=1)
    for name in ("device.json", "transferred.safetensors", "published.json"):
        with pytest.raises(InputError, match="names no device"):
            models[name].moved("ssh://pi@board")


@pytest.mark.parametrize("name", ["learned.safetensors", "transferred.safetensors"])
def test_a_model_that_lacks_a_part_is_refused_in_one_line(
    name: str, models: dict[str, LatencyModel], tmp_path: Path
) -> None:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    models[name].save(tmp_path / name)
    with safe_open(tmp_path / name, framework="numpy") as file:
        about = json.loads(file.metadata()["about"])
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    for lost in ("space", "device"):
        save_file(arrays, tmp_path / name, {"about": json.dumps({k: v for k, v in about.items() if k != lost})})
        with pytest.raises(InputError, match=f"{name} is not a whole") as error:
            read_latency_model(tmp_path / name)
        assert len(str(error.value).splitlines()) == 1
    save_file(arrays, tmp_path / name, {"about": json.dumps({**about, "unit": "us"})})
    with pytest.raises(InputError, match=f"{name}: unit 'us', expected 'ms'"):
        read_latency_model(tmp_path / name)
    for key, value, message in (
        ("measured.latencies_ms", 0.0, "latency_ms is 0.0, expected a positive number"),
        *(
            (key, np.nan, "not finite")
            for key in arrays
            if key.endswith("held_out_ms") or not key.startswith("measured.")
        ),
    ):
        damaged = {
            **arrays,
            key: np.where(np.arange(arrays[key].size).reshape(arrays[key].shape) == 0, value, arrays[key]),
        }
        save_file(damaged, tmp_path / name, {"about": json.dumps(about)})
        with pytest.raises(InputError, match=message):
            read_latency_model(tmp_path / name)
    for lost in (key for key in arrays if key.startswith("measured.")):
        save_file({k: v for k, v in arrays.items() if k != lost}, tmp_path / name, {"about": json.dumps(about)})
        with pytest.raises(InputError, match="not a whole"):
            read_latency_model(tmp_path / name)


def test_a_damaged_published_table_is_refused_in_one_line(models: dict[str, LatencyModel], tmp_path: Path) -> None:
    path = tmp_path / "published.json"
    models["published.json"].save(path)
    whole = json.loads(path.read_text())
    first = next(iter(whole["blocks"]))
    for damage, message in (
        ({"unit": "us"}, "unit 'us', expected 'ms'"),
        ({"blocks": {first: float("nan")}}, "takes nan, expected a positive number"),
        ({"blocks": [1.0]}, "not a whole published table"),
        ({"space": None}, "not a whole published table"),
    ):
        path.write_text(json.dumps(whole | damage))
        with pytest.raises(InputError, match=message) as error:
            read_latency_model(path)
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": "run/1"}', "\xff"])
@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_other_files_are_refused_in_one_line(name: str, content: str, tmp_path: Path) -> None:
    for path in (tmp_path / name, tmp_path / "absent"):
        with pytest.raises(InputError, match=r"does not exist"):
            read_latency_model(path)
    (tmp_path / name).write_text(content, encoding="latin1")
    with pytest.raises(InputError, match=name) as error:
        read_latency_model(tmp_path / name)
    assert len(str(error.value).splitlines()) == 1


def test_schemas_tell_the_kinds_apart() -> None:
    assert len({kind.schema for kind in KINDS}) == len(KINDS)
