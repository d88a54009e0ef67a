"""Proxies are as published, the same for the same seed, and leave what they look at alone."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import search_spaces
from latency_predictors.analytic.counts import count_network
from nas.data import DataOptions, Dataset, load_data
from nas.evaluation.zero_cost import PROXIES, Candidate, ZeroCost, grad_norm, naswot, snip, synflow, zico
from nas.objectives import FeasibleRegion, Objective
from nas.search import Search
from nas.strategies import load
from search_spaces import InputError, SearchSpace


def two_layers(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def batches(n: int = 2, seed: int = 0) -> list[tuple[tuple[Tensor], Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [((torch.randn(5, 6, generator=generator),), torch.tensor([0, 1, 2, 0, 1])) for _ in range(n)]


def candidate(tiny: SearchSpace, network: nn.Module, **changed: object) -> Candidate:
    return Candidate(tiny, tiny.smallest(), network, changed.get("batches", batches()))  # type: ignore[arg-type]


def test_synflow_is_the_flow_through_positive_weights(tiny: SearchSpace) -> None:
    """Of a network without biases every layer's weights times gradients sum up to the output itself."""
    network = nn.Sequential(nn.Linear(6, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False))
    output = network[2].weight.abs() @ (network[0].weight.abs() @ torch.ones(6))
    expected = np.log(2 * 5 * float(output.sum().detach()))
    assert synflow(candidate(tiny, network)) == pytest.approx(expected, rel=1e-5)


def test_gradients_are_those_of_the_loss(tiny: SearchSpace) -> None:
    network = two_layers()
    (inputs, labels), *_ = batches()
    cross_entropy(network(*inputs), labels).backward()
    parameters = list(network.parameters())
    gradients = [parameter.grad for parameter in parameters]
    expected = sum(float((p * g).abs().sum().detach()) for p, g in zip(parameters, gradients, strict=True))
    assert snip(candidate(tiny, two_layers())) == pytest.approx(expected, rel=1e-5)
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
    assert grad_norm(candidate(tiny, two_layers())) == pytest.approx(norm, rel=1e-5)


def test_naswot_tells_examples_apart(tiny: SearchSpace) -> None:
    """Determinants are larger the less alike activations are, and nothing where two examples are one."""
    network = two_layers()
    x = batches()[0][0][0]
    alike = x[:1] + 0.01 * x
    twice = torch.cat([x[:1], x[:1], x[2:]])
    different, similar, same = (
        naswot(candidate(tiny, network, batches=[((inputs,), torch.zeros(5))])) for inputs in (x, alike, twice)
    )
    assert different > similar
    assert same < -20
    codes = (network[0](x) > 0).double()
    kernel = codes @ codes.T + (1 - codes) @ (1 - codes).T
    assert different == pytest.approx(float(torch.linalg.slogdet(kernel).logabsdet))


def test_zico_knows_no_scale(tiny: SearchSpace) -> None:
    network = two_layers()
    gradients = []
    for inputs, labels in batches(3):
        network.zero_grad()
        cross_entropy(network(*inputs), labels).backward()
        gradients.append([network[i].weight.grad.abs().clone() for i in (0, 2)])  # type: ignore[union-attr, operator]
    expected = 0.0
    for layer in zip(*gradients, strict=True):
        stacked = torch.stack(layer)
        deviation = stacked.std(0, correction=0)
        expected += float((stacked.mean(0) / deviation)[deviation > 0].sum().log())
    assert zico(candidate(tiny, network, batches=batches(3))) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("proxy", PROXIES)
def test_what_is_looked_at_stays_as_it_was(tiny: SearchSpace, proxy: str) -> None:
    network = nn.Sequential(*two_layers()[:2], nn.BatchNorm1d(8), nn.Linear(8, 3))
    before = copy.deepcopy(network.state_dict())
    PROXIES[proxy](candidate(tiny, network)) if proxy != "macs" else None
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert network.training


def test_networks_of_a_space_are_evaluated_the_same_each_time(tiny: SearchSpace, data: Dataset) -> None:
    population = tiny.canonical(tiny.sample(4, np.random.default_rng(0)))
    state = torch.get_rng_state()
    found = ZeroCost(tiny, data).evaluate(population)
    assert torch.equal(torch.get_rng_state(), state)
    again = ZeroCost(tiny, data).evaluate(population[::-1])
    assert list(found) == list(PROXIES)
    for name, values in found.items():
        assert np.isfinite(values).all(), name
        assert np.array_equal(values, again[name][::-1]), name
        assert len(set(values)) == 4, name
    networks = [(architecture, tiny.build(architecture)) for architecture in tiny.decode(population)]
    assert found["macs"].tolist() == [count_network(tiny, architecture, net).macs for architecture, net in networks]


def test_a_proxy_says_the_same_alone_and_after_others(tiny: SearchSpace, data: Dataset) -> None:
    rows = tiny.encode([tiny.smallest()])
    together = ZeroCost(tiny, data, ["naswot", "snip", "synflow"]).evaluate(rows)
    for name, values in together.items():
        assert np.array_equal(ZeroCost(tiny, data, [name]).evaluate(rows)[name], values), name


def test_zico_of_one_batch_is_refused(tiny: SearchSpace, data: Dataset) -> None:
    with pytest.raises(InputError, match="zico compares gradients of batches, of which there are 1: give at least 2"):
        ZeroCost(tiny, data, ["macs", "zico"], n_batches=1)
    ZeroCost(tiny, data, ["macs"], n_batches=1)


def test_a_search_may_ask_a_proxy(tiny: SearchSpace, data: Dataset) -> None:
    evaluator, objective = ZeroCost(tiny, data, ["macs"]), Objective("macs")
    region = FeasibleRegion(tiny)
    strategy = load("regularized_evolution", population=10)
    history = Search(evaluator, strategy, [objective], region, budget=60, seed=0).run(progress=False)
    assert history.metrics["macs"][-10:].mean() > 1.5 * history.metrics["macs"][:10].mean()


def test_an_unknown_proxy_is_told_with_the_nearest(tiny: SearchSpace, data: Dataset) -> None:
    with pytest.raises(InputError, match="unknown zero-cost proxy 'synflo': did you mean synflow"):
        ZeroCost(tiny, data, ["synflo"])


@pytest.mark.parametrize(
    ("options", "n_rows"),
    [
        (DataOptions("synthetic_scenes", n_scenes=3, tile_metres=20), 32),
        (DataOptions("synthetic_objects", n_scenes=16), 5),
    ],
)
def test_of_clouds_some_points_are_compared_or_the_clouds_themselves(
    options: DataOptions, n_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_data(options)
    space = search_spaces.load("pvcnn", width=0.25, grid=0.25, **data.space_options())
    sizes, slogdet = [], torch.linalg.slogdet
    monkeypatch.setattr(torch.linalg, "slogdet", lambda kernel: (sizes.append(len(kernel)), slogdet(kernel))[1])
    found = ZeroCost(space, data, ["naswot", "synflow"]).evaluate(space.encode([space.smallest()]))
    assert sizes == [n_rows]
    assert np.isfinite(found["synflow"]).all()
    assert (found["naswot"] > 0).all()


def test_networks_without_activations_are_not_compared_by_them(tiny: SearchSpace) -> None:
    with pytest.raises(InputError, match=f"naswot finds no activations in networks of {tiny.name}: use another proxy"):
        naswot(candidate(tiny, nn.Sequential(nn.Linear(6, 3))))
