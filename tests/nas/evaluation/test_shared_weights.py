"""A network is judged with the weights it inherits and statistics of its own, and judging it changes nothing."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from nas.data import Dataset
from nas.data.images.images import Images
from nas.evaluation.batches import Batches
from nas.evaluation.shared_weights import SharedWeights, estimate_statistics, score
from nas.supernet import Supernet
from search_spaces import Architecture, SearchSpace


@pytest.fixture
def supernet(tiny: SearchSpace) -> Supernet:
    """Returns shared weights that differ from slot to slot, with outputs far from uniform."""
    torch.manual_seed(0)
    supernet = Supernet(tiny)
    nn.init.normal_(supernet.store.get_submodule("classifier").classifier.weight)  # type: ignore[union-attr, arg-type]
    return supernet


def architectures(space: SearchSpace) -> list[Architecture]:
    population = space.sample(2, np.random.default_rng(0))
    return [space.smallest(), space.largest(), *space.decode(population)]


def prepared(part: Images, resolution: int) -> Tensor:
    images = (part.pixels[torch.arange(len(part))].float() / 255 - 0.35) / 0.2
    return interpolate(images, size=(resolution, resolution), mode="bilinear", antialias=True)


def by_hand(network: nn.Module, data: Dataset, resolution: int) -> dict[str, float]:
    """Return what a network scores with the statistics of all training images."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(prepared(data.train, resolution))
        logits = network.eval()(prepared(data.validation, resolution))
    labels = data.validation.labels
    return {
        "accuracy": (logits.argmax(1) == labels).float().mean().item(),
        "cross_entropy": cross_entropy(logits, labels).item(),
    }


def test_metrics_are_those_of_the_extracted_network(supernet: Supernet, tiny: SearchSpace, data: Dataset) -> None:
    weights = SharedWeights(supernet, data)
    found = weights.evaluate(tiny.encode(architectures(tiny)))
    assert {metric: values.shape for metric, values in found.items()} == {"accuracy": (4,), "cross_entropy": (4,)}
    for number, architecture in enumerate(architectures(tiny)):
        resolution = architecture["resolution"]
        expected = by_hand(supernet.extract(architecture), data, int(resolution))
        assert {metric: values[number] for metric, values in found.items()} == pytest.approx(expected, rel=1e-3)
    assert len(set(found["cross_entropy"])) == 4


def test_statistics_of_the_store_do_not_matter(supernet: Supernet, tiny: SearchSpace, data: Dataset) -> None:
    population = tiny.encode(architectures(tiny))
    before = SharedWeights(supernet, data).evaluate(population)
    for name, buffer in supernet.named_buffers():
        buffer.fill_(5 if name.endswith("num_batches_tracked") else 1e3)
    after = SharedWeights(supernet, data).evaluate(population)
    assert all(np.array_equal(before[metric], after[metric]) for metric in before)


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_leaves_the_store_as_it_was(
    training: bool, supernet: Supernet, tiny: SearchSpace, data: Dataset
) -> None:
    supernet.train(training)
    supernet.network(tiny.largest())  # as a step before would have
    before = copy.deepcopy(supernet.state_dict())
    weights = SharedWeights(supernet, data)
    network = weights.extract(tiny.smallest())
    weights.evaluate(tiny.encode(architectures(tiny)))
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())
    assert all(module.training == training for module in supernet.modules())
    assert all(parameter.grad is None for parameter in supernet.parameters())
    assert not any(module.training for module in network.modules())


def test_evaluation_is_the_same_each_time(supernet: Supernet, tiny: SearchSpace, data: Dataset) -> None:
    population = tiny.encode(architectures(tiny))
    weights = SharedWeights(supernet, data)
    one, other = weights.evaluate(population), weights.evaluate(population[::-1])
    assert all(np.array_equal(one[metric], other[metric][::-1]) for metric in one)
    assert all(len(values) == 0 for values in weights.evaluate(population[:0]).values())


def test_some_images_may_stand_for_all(supernet: Supernet, tiny: SearchSpace, data: Dataset) -> None:
    some = SharedWeights(supernet, data, n_validation=13, n_statistics=16)
    assert len(some._validation.indices) == len(set(some._validation.indices.tolist())) == 13
    network = some.extract(tiny.smallest())
    chosen = data.validation.labels[some._validation.indices]
    logits = network(prepared(data.validation, 12)[some._validation.indices])
    assert some.evaluate(tiny.encode([tiny.smallest()]))["accuracy"] == pytest.approx(
        (logits.argmax(1) == chosen).float().mean().item()
    )
    assert len(SharedWeights(supernet, data, n_validation=1000)._validation.indices) == len(data.validation)


def test_statistics_do_not_depend_on_the_order_of_files(supernet: Supernet, tiny: SearchSpace, data: Dataset) -> None:
    """Files come class by class: batches of one class would hide how classes differ."""
    order = data.train.labels.argsort()
    by_class = Images(data.train.labels[order], data.train[order])
    sorted_data = dataclasses.replace(data, train=by_class)
    networks = [
        SharedWeights(supernet, d, n_statistics=len(order)).extract(tiny.smallest()) for d in (data, sorted_data)
    ]
    for (name, one), other in zip(networks[0].named_buffers(), networks[1].buffers(), strict=True):
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(one, other, rtol=0.2, atol=0.05)


@pytest.mark.parametrize("n_images", [257, 513])
def test_no_batch_of_statistics_is_a_leftover(
    supernet: Supernet, tiny: SearchSpace, data: Dataset, n_images: int
) -> None:
    few = torch.arange(n_images) % len(data.train)
    repeated = dataclasses.replace(data, train=Images(data.train.labels[few], data.train[few]))
    network = SharedWeights(supernet, repeated, n_statistics=n_images).extract(tiny.smallest())
    assert all(torch.isfinite(buffer).all() for buffer in network.buffers())


def test_a_score_does_not_depend_on_batches(
    supernet: Supernet, tiny: SearchSpace, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = SharedWeights(supernet, data)
    network = weights.extract(tiny.smallest())
    whole = score(network, Batches(data, data.validation), weights.prepare(tiny.smallest()))
    monkeypatch.setattr(type(data), "scored_at_once", 7)
    assert score(network, Batches(data, data.validation), weights.prepare(tiny.smallest())) == pytest.approx(
        whole, rel=1e-4
    )


def test_statistics_know_nothing_of_dropout(data: Dataset) -> None:
    """A norm behind dropout sees other values in training than when it is used."""
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.BatchNorm1d(3 * 16 * 16))
    network[2].weight.requires_grad_(False)
    estimate_statistics(network, Batches(data, data.train), lambda images: (images,))
    images, _ = data.batch(data.train, torch.arange(len(data.train)), torch.device("cpu"))
    torch.testing.assert_close(network[2].running_mean, images.flatten(1).mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(network[2].running_var, images.flatten(1).var(0), rtol=1e-3, atol=1e-3)
