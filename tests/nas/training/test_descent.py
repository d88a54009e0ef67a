"""One step of training: its images, targets, learning rate and decay."""

import copy
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from nas.data import Augmentation, Dataset
from nas.data.dataset import Prepare
from nas.training import descent as descent_module
from nas.training.descent import Descent, Student
from nas.training.options import TrainingOptions
from search_spaces import InputError, SearchSpace
from search_spaces.images import resize

OPTIONS = TrainingOptions(epochs=5, batch_size=16, device="cpu", augmentation=Augmentation(crop=0))


@pytest.fixture
def network(tiny: SearchSpace) -> nn.Module:
    torch.manual_seed(0)
    return tiny.build(tiny.smallest())


def begin(network: nn.Module, data: Dataset, **options: Any) -> Descent:
    return Descent(network, data, dataclasses.replace(OPTIONS, **options))


def reading(resolution: int) -> Prepare:
    """Return how a network of this resolution takes its images."""
    return lambda images: (resize(images, resolution),)


def descend(descent: Descent, n_steps: int) -> list[float]:
    """Take some steps, and return their losses."""
    return [descent.descend([Student(descent.model, reading(16))], distil=False) for _ in range(n_steps)]


def test_every_epoch_sees_each_image_once(network: nn.Module, data: Dataset) -> None:
    descent = begin(network, data)
    assert (descent.steps_per_epoch, descent.n_steps) == (6, 30)
    means = data.train.pixels[torch.arange(96)].float().mean((1, 2, 3))  # tell the images apart
    orders = []
    for epoch in range(3):
        seen, labels = [], []
        for descent.step in range(6 * epoch, 6 * epoch + 6):
            images, some = descent.batch()
            seen.append((images * 0.2 + 0.35).mean((1, 2, 3)) * 255)
            labels.append(some)
        order = [int((means - mean).abs().argmin()) for mean in torch.cat(seen)]
        assert sorted(order) == list(range(96))
        assert torch.equal(data.train.labels[order], torch.cat(labels))
        orders.append(order)
    assert orders[0] != orders[1] != orders[2]


def test_a_batch_depends_on_seed_and_step_alone(network: nn.Module, data: Dataset) -> None:
    augmentation = Augmentation(crop=0.125, flip=True)

    def batch(seed: int, step: int) -> Tensor:
        descent = begin(network, data, seed=seed, augmentation=augmentation)
        torch.rand(step + 1)  # whatever else was drawn before
        descent.step = step
        return descent.batch()[0]

    assert torch.equal(batch(0, 7), batch(0, 7))
    assert not torch.equal(batch(0, 7), batch(1, 7))
    assert not torch.equal(batch(0, 7), batch(0, 13))


def test_a_data_set_smaller_than_a_batch_is_one_batch(network: nn.Module, data: Dataset) -> None:
    descent = begin(network, data, batch_size=1000)
    assert (descent.batch_size, descent.steps_per_epoch) == (96, 1)


@pytest.mark.parametrize(("warmup", "ramp"), [(0.1, 3), (0.0, 1), (0.5, 15)])
def test_the_learning_rate_ramps_up_and_follows_a_half_cosine(
    network: nn.Module, data: Dataset, warmup: float, ramp: int
) -> None:
    descent = begin(network, data, warmup=warmup, learning_rate=0.2)
    rates = []
    for _ in range(descent.n_steps):
        descend(descent, 1)
        rates.append({group["lr"] for group in descent._optimizer.param_groups})
    n = descent.n_steps
    expected = [0.2 * (step + 1) / ramp for step in range(ramp)]
    expected += [0.1 + 0.1 * math.cos(math.pi * (step - ramp) / (n - ramp)) for step in range(ramp, n)]
    assert [rate for (rate,) in rates] == pytest.approx(expected)


def test_decay_acts_on_weights_and_neither_on_norms_nor_biases(network: nn.Module, data: Dataset) -> None:
    """After one step from equal weights, two networks differ by the decay alone, which Nesterov's momentum repeats."""
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    plain, decayed = network, copy.deepcopy(network)
    descend(begin(plain, data, weight_decay=0.0, learning_rate=0.5, warmup=0.0), 1)
    descend(begin(decayed, data, weight_decay=0.1, learning_rate=0.5, warmup=0.0), 1)
    kinds = set()
    for (name, parameter), other in zip(decayed.named_parameters(), plain.parameters(), strict=True):
        kinds.add(parameter.ndim)
        decay = (
            0.5 * 0.1 * (1 + TrainingOptions().momentum) * before[name]
            if parameter.ndim > 1
            else torch.zeros_like(parameter)
        )
        torch.testing.assert_close(other - parameter, decay, rtol=1e-4, atol=1e-6)
    assert kinds == {1, 2, 4}


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor, float]]:
    """Records logits, targets and label smoothing of every loss."""
    recorded = []
    real: Callable[..., Tensor] = descent_module.cross_entropy

    def recording(logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, **options: int) -> Tensor:
        recorded.append((logits.detach().clone(), targets.clone(), label_smoothing))
        return real(logits, targets, label_smoothing=label_smoothing, **options)

    monkeypatch.setattr(descent_module, "cross_entropy", recording)
    return recorded


def students(tiny: SearchSpace) -> list[Student]:
    return [Student(tiny.build(tiny.largest()), reading(16)), Student(tiny.build(tiny.smallest()), reading(12))]


def test_the_first_student_teaches_the_others(
    tiny: SearchSpace, data: Dataset, losses: list[tuple[Tensor, Tensor, float]]
) -> None:
    both = students(tiny)
    descent = begin(nn.ModuleList([student.network for student in both]), data)
    _, labels = descent.batch()
    first_loss = descent.descend([*both, both[1]], distil=True)
    (logits, targets, smoothing), *others = losses
    assert torch.equal(targets, labels)
    assert smoothing == OPTIONS.label_smoothing == 0.1
    one_hot = nn.functional.one_hot(labels, 4) * 0.9 + 0.1 / 4
    assert first_loss == pytest.approx(-(one_hot * logits.log_softmax(1)).sum(1).mean().item(), rel=1e-5)
    assert len(others) == 2
    for _, soft, smoothing in others:
        assert torch.equal(soft, logits.softmax(1))
        assert smoothing == 0


def test_without_distillation_all_learn_from_labels(
    tiny: SearchSpace, data: Dataset, losses: list[tuple[Tensor, Tensor, float]]
) -> None:
    both = students(tiny)
    descent = begin(nn.ModuleList([student.network for student in both]), data)
    _, labels = descent.batch()
    descent.descend(both, distil=False)
    assert all(torch.equal(targets, labels) and smoothing == 0.1 for _, targets, smoothing in losses)


def test_a_student_is_fitted_to_its_teacher(tiny: SearchSpace, data: Dataset) -> None:
    """The gradient of a student is that of its cross entropy with the teacher's probabilities."""
    teacher, student = students(tiny)
    descent = begin(nn.ModuleList([teacher.network, student.network]), data, momentum=0.0, weight_decay=0.0, warmup=0.0)
    images, _ = descent.batch()
    before = [parameter.detach().clone() for parameter in student.network.parameters()]
    copies = copy.deepcopy((teacher.network, student.network))
    seed = descent_module._seed(0, 0, "dropout")
    torch.manual_seed(seed)
    with torch.no_grad():
        soft = copies[0](images).softmax(1)
    logits = copies[1](resize(images, 12))
    (-(soft * logits.log_softmax(1)).sum(1).mean()).backward()
    descent.descend([teacher, student], distil=True)
    for old, new, expected in zip(before, student.network.parameters(), copies[1].parameters(), strict=True):
        torch.testing.assert_close(old - new, OPTIONS.learning_rate * expected.grad, rtol=1e-3, atol=1e-6)


def test_training_that_diverges_is_told_with_its_learning_rate(network: nn.Module, data: Dataset) -> None:
    descent = begin(network, data, learning_rate=1e20, warmup=0.0)
    with pytest.raises(InputError, match=r"diverged at step \d: lower the learning rate \(now 1e\+20\)") as error:
        descend(descent, 5)
    assert len(str(error.value).splitlines()) == 1


OPTIMIZERS = pytest.mark.parametrize(
    "options", [{}, {"optimizer": "adamw", "learning_rate": 0.002}], ids=["sgd", "adamw"]
)


@OPTIMIZERS
def test_an_optimiser_put_back_continues_alike(network: nn.Module, data: Dataset, options: dict[str, Any]) -> None:
    descent = begin(network, data, **options)
    descend(descent, 3)
    again = begin(copy.deepcopy(network), data, **options)
    again.step = descent.step
    again.set_optimizer_state(copy.deepcopy(descent.optimizer_state()))
    assert again.optimizer_state().keys() == descent.optimizer_state().keys()
    assert descend(descent, 3) == descend(again, 3)
    for one, other in zip(descent.model.state_dict().values(), again.model.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@OPTIMIZERS
def test_nothing_is_remembered_of_what_was_not_trained(
    network: nn.Module, data: Dataset, options: dict[str, Any]
) -> None:
    unused = nn.Linear(2, 2)
    descent = begin(nn.ModuleList([network, unused]), data, **options)
    before = copy.deepcopy(unused.state_dict())
    descent.descend([Student(network, reading(16))], distil=False)
    assert all(torch.equal(parameter, before[name]) for name, parameter in unused.named_parameters())
    assert {path.partition(".")[0] for path in descent.optimizer_state()} == {"0"}


def test_adamw_steps_by_the_learning_rate_whatever_the_gradient(network: nn.Module, data: Dataset) -> None:
    """Its first step moves every parameter that has a gradient by the learning rate, and decays weights alone."""
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    descend(begin(network, data, optimizer="adamw", learning_rate=0.01, weight_decay=0.1, warmup=0.0), 1)
    steps = []
    for name, parameter in network.named_parameters():
        steps.append((parameter - before[name] * (1 - 0.01 * 0.1 if parameter.ndim > 1 else 1)).flatten().abs())
    moved = torch.cat(steps)
    assert (moved > 0.0099).float().mean() > 0.5  # less only where a gradient is as small as Adam's epsilon
    assert moved.max() < 0.0101


def test_bfloat16_learns_too(network: nn.Module, data: Dataset) -> None:
    losses = descend(begin(network, data, precision="bfloat16"), 12)
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_gpu_is_told(network: nn.Module, data: Dataset) -> None:
    with pytest.raises(ValidationError, match="'cuda': torch finds no GPU here; use cpu or auto"):
        begin(network, data, device="cuda")


@pytest.mark.parametrize("n_examples", [2, 40, None, 1000])
def test_losses_are_those_of_training_examples_and_change_nothing(
    tiny: SearchSpace, data: Dataset, n_examples: int | None
) -> None:
    torch.manual_seed(0)
    both = students(tiny)
    descent = begin(nn.ModuleList([student.network for student in both]), data)
    state = copy.deepcopy(descent.model.state_dict())
    seen = []

    def reading_and_keeping(images: Tensor) -> tuple[Tensor, ...]:
        seen.append(images)
        return (images,)

    both.append(Student(nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4)), reading_and_keeping))
    found = descent.losses(both, n_examples)
    assert descent.losses([both[1], both[0]], n_examples) == found[1::-1], "each for itself, on the same examples"
    assert all(torch.equal(tensor, state[name]) for name, tensor in descent.model.state_dict().items())
    assert {module.training for module in descent.model.modules()} == {True}
    (images,) = seen
    assert len(images) == min(n_examples or OPTIONS.batch_size, 96)
    whole, labels = data.batch(data.train, torch.arange(96), torch.device("cpu"))
    chosen = [int((whole - image).abs().sum((1, 2, 3)).argmin()) for image in images]
    assert len(set(chosen)) == len(chosen)
    assert torch.equal(whole[chosen], images)
    logits = both[2].network(images)
    assert found[2] == pytest.approx(nn.functional.cross_entropy(logits, labels[chosen]).item())
    descent.step = 1
    assert n_examples == 1000 or descent.losses(both, n_examples) != found


def test_losses_are_by_the_statistics_of_the_examples_and_without_dropout(tiny: SearchSpace, data: Dataset) -> None:
    student = students(tiny)[0]
    descent = begin(student.network, data)
    (before,) = descent.losses([student], 96)
    for module in student.network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
        module.train(not isinstance(module, nn.Dropout))
    images, labels = data.batch(data.train, torch.arange(96), torch.device("cpu"))
    with torch.no_grad():
        logits = student.network(resize(images, 16))
    assert before == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=1e-4)
