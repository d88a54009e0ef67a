"""Derivatives of the second order, against those of functions whose derivatives are known."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.differentiable.curvature import dominant_eigenvalue, unrolled_gradients


@given(st.integers(0, 999), st.lists(st.floats(-9, 3, width=16), min_size=2, max_size=40))
def test_the_largest_eigenvalue_of_a_quadratic_form(seed: int, eigenvalues: list[float]) -> None:
    generator = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(len(eigenvalues), len(eigenvalues), generator=generator))
    hessian = basis @ torch.diag(torch.tensor(eigenvalues)) @ basis.T
    found = dominant_eigenvalue(lambda x: hessian @ x, torch.randn(len(eigenvalues), generator=generator))
    assert found == pytest.approx(max(eigenvalues), rel=1e-2, abs=0.05)


def test_a_loss_without_curvature_has_no_eigenvalue_but_zero() -> None:
    assert dominant_eigenvalue(torch.ones_like, torch.randn(5)) == 0


def test_gradients_look_one_step_of_the_weights_ahead() -> None:
    generator = torch.Generator().manual_seed(0)
    a, w = (torch.randn(3, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2))
    rate = 0.1

    def train_loss(weights: torch.Tensor) -> torch.Tensor:
        return ((weights - a.sigmoid()) ** 2).sum() + (weights * a).prod()

    def validation_loss(weights: torch.Tensor) -> torch.Tensor:
        return (weights.sin() * a).sum()

    (step,) = torch.autograd.grad(train_loss(w), w, create_graph=True)
    (exact,) = torch.autograd.grad(validation_loss(w - rate * step), a)
    before = w.detach().clone()
    (found,) = unrolled_gradients(lambda: train_loss(w), lambda: validation_loss(w), [a], [w], rate)
    assert torch.allclose(found, exact, rtol=1e-3)
    assert torch.equal(w, before), "the weights are where they were"
