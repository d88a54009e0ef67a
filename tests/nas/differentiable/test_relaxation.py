"""A relaxed supernet is each of its networks at one-hot weights, and gradients tell all options apart."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import one_hot

from nas.differentiable.relaxation import Relaxation
from nas.differentiable.slot import Support
from search_spaces import Architecture

Row = list[int]


def one_hots(relaxation: Relaxation, row: Row) -> list[Tensor]:
    return [one_hot(torch.tensor(i), int(n)).float() for i, n in zip(row, relaxation.space.n_options, strict=True)]


def full_support(relaxation: Relaxation) -> Support:
    """Return all options of every choice, but of those that must be sampled the last."""
    n_options = relaxation.space.n_options.tolist()
    return tuple((n - 1,) if c in relaxation.sampled else tuple(range(n)) for c, n in enumerate(n_options))


def support_with(relaxation: Relaxation, row: Row) -> Support:
    """Return all options, but of choices that can only be sampled the row's."""
    full = full_support(relaxation)
    return tuple((row[c],) if c in relaxation.sampled else options for c, options in enumerate(full))


def inputs_of(relaxation: Relaxation, architecture: Architecture) -> tuple[Tensor, ...]:
    return relaxation.space.example(architecture, 4, torch.Generator().manual_seed(1))


@settings(max_examples=4)
@given(data=st.data(), training=st.booleans())
def test_at_one_hot_weights_it_is_the_architectures_network(
    relaxation: Relaxation, data: st.DataObject, training: bool
) -> None:
    row = [data.draw(st.integers(0, int(n) - 1)) for n in relaxation.space.n_options]
    (architecture,) = relaxation.space.decode([row])
    inputs, weights = inputs_of(relaxation, architecture), one_hots(relaxation, row)
    supernet = relaxation.supernet
    drops_out = any(isinstance(module, nn.Dropout) for module in supernet.modules())
    supernet.train(training and not drops_out)
    expected = supernet(inputs if len(inputs) > 1 else inputs[0], architecture).detach()
    for support in (support_with(relaxation, row), tuple((option,) for option in row)):
        found = relaxation(weights, support, inputs)
        assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()))


def test_gradients_tell_the_options_of_every_choice_apart(relaxation: Relaxation) -> None:
    space, full = relaxation.space, full_support(relaxation)
    row = [options[-1] for options in full]
    logits = [torch.zeros(len(options), requires_grad=True) for options in full]
    weights = one_hots(relaxation, row)
    for choice, options in enumerate(full):
        if len(options) > 1:
            weights[choice] = logits[choice].softmax(0)
    relaxation.supernet.eval()
    relaxation(weights, full, inputs_of(relaxation, space.decode([row])[0])).square().sum().backward()
    for choice, logit in enumerate(logits):
        if choice not in relaxation.sampled and len(logit) > 1:
            assert logit.grad is not None
            assert logit.grad.isfinite().all()
            assert logit.grad.abs().max() > 0, space.choices[choice].name
    assert any(parameter.grad is not None for parameter in relaxation.supernet.parameters())


@pytest.mark.parametrize("relaxation", ["nasbench201", "darts", "spvnas_small"], indirect=True)
def test_what_may_be_absent_counts_by_its_output(relaxation: Relaxation) -> None:
    """An operation gives p * op(x), and a branch as much of what it is added to as it is not there."""
    space, full, store = relaxation.space, full_support(relaxation), relaxation.supernet.store
    presence = {
        slot: (scope, table >= 0)
        for slot, scope, table in zip(space.index.slots, space.index.depends, space.index.tables, strict=True)
        if (table < 0).any()
    }
    deciding = {
        c for scope, there in presence.values() for a, c in enumerate(scope) if (there.max(a) != there.min(a)).any()
    }
    weights = one_hots(relaxation, [options[-1] for options in full])
    weights = [torch.full_like(w, 1 / len(w)) if c in deciding else w for c, w in enumerate(weights)]
    inputs = inputs_of(relaxation, space.decode([[options[-1] for options in full]])[0])
    relaxation.supernet.train()
    relaxation(weights, full, inputs)
    seen: dict[str, tuple[tuple[Tensor, ...], Tensor]] = {}
    hooks = [
        module.register_forward_hook(lambda _, x, y, slot=slot: seen.update({slot: (x, y)}))
        for slot, module in relaxation._networks[full].named_children()
    ]
    relaxation(weights, full, inputs)
    for hook in hooks:
        hook.remove()
    for slot, (_, there) in presence.items():
        x, y = seen[slot]
        share = float(there.mean())
        expected = store.get_submodule(slot)(*x)
        if space.name != "spvnas_small":
            expected = share * expected
        elif slot.endswith("conv2"):
            expected = share * expected + (1 - share) * x[-1]
        assert torch.allclose(y, expected, atol=1e-5 * float(expected.detach().abs().max())), slot


@pytest.mark.parametrize(
    ("relaxation", "open_"),
    [("mobilenet_v3_32", 0), ("autoformer_32", 0), ("nasbench201", 1), ("spvnas_small", 0)],
    indirect=["relaxation"],
)
def test_a_closed_gate_learns_from_what_it_would_let_through(relaxation: Relaxation, open_: int) -> None:
    space, full = relaxation.space, full_support(relaxation)
    row = [options[open_] if len(options) > 1 else options[0] for options in full]
    weights = [weight.requires_grad_() for weight in one_hots(relaxation, row)]
    relaxation.supernet.train()
    (architecture,) = space.decode([row])
    relaxation(weights, full, inputs_of(relaxation, architecture)).square().sum().backward()
    for other in space.neighbours(np.array(row)):
        (choice,) = np.flatnonzero(other != row)
        if choice not in relaxation.sampled and space.plan(space.decode([other])[0]) != space.plan(architecture):
            gradient = weights[choice].grad
            assert gradient is not None
            assert gradient[other[choice]] != gradient[row[choice]], space.choices[choice].name


@pytest.mark.parametrize(
    ("relaxation", "name", "layer"),
    [
        ("mobilenet_v3_32", "stage1_block2", "project.0"),
        ("autoformer_32", "layer1_attention", "project"),
        ("autoformer_32", "layer1_mlp", "project"),
    ],
    indirect=["relaxation"],
)
def test_a_channel_counts_once(relaxation: Relaxation, name: str, layer: str) -> None:
    """What reads channels of mask m reads m of them: the mean of what narrower and wider networks give."""
    slot, space = relaxation._slots[name], relaxation.space
    full = full_support(relaxation)
    part = slot.part(full)
    assert part is not None
    largest = one_hots(relaxation, [options[-1] for options in full])
    (width,) = [c for c in slot.scope if space.choices[c].name.startswith(("expand_1_2", "heads_1", "mlp_1"))]
    generator = torch.Generator().manual_seed(2)
    x, seen = part.frame.example(4, generator), []
    module = slot.skeleton(part).train()
    hook = module.get_submodule(layer).register_forward_hook(lambda *call: seen.append(call[-1]))
    shares = torch.rand(len(largest[width]), generator=generator)
    mixtures = [shares / shares.sum(), *torch.eye(len(shares))]
    for mixture in mixtures:
        weights = [mixture if c == width else w for c, w in enumerate(largest)]
        functional_call(module, slot.tensors(part, slot.shares(part, weights)[1]), x)
    hook.remove()
    expected = sum(share * y for share, y in zip(mixtures[0], seen[1:], strict=True))
    assert torch.allclose(seen[0], expected, atol=1e-5)


@pytest.mark.parametrize("relaxation", ["mobilenet_v3_32", "pvcnn"], indirect=True)
def test_what_changes_no_parameter_can_only_be_sampled(relaxation: Relaxation) -> None:
    names = {relaxation.space.choices[choice].name.split("_")[0] for choice in relaxation.sampled}
    assert names == ({"resolution"} if relaxation.space.name == "mobilenet_v3_32" else {"resolution", "depth"})
