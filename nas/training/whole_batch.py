"""Norms and dropout of a rank's share of a batch, as they would be of the whole of it."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from nas.training.ranks import Ranks


def whole_batch(ranks: Ranks) -> AbstractContextManager[object]:
    """Within this, modules that normalise over a batch, or drop some of its rows, do so over the shares of all ranks.

    The modules are left as they are: their calls of torch are seen to. (`torch.nn.SyncBatchNorm` is another module, and
    runs on graphics cards alone.)
    """
    return nullcontext() if ranks.n == 1 else _WholeBatch(ranks)


class _WholeBatch(TorchFunctionMode):
    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self._ranks = ranks

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm:
            return self._batch_norm(*args, **kwargs)
        if func is F.dropout and kwargs["training"]:
            return self._dropout(args[0], kwargs["p"])
        return func(*args, **kwargs)

    def _batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        training: bool,
        momentum: float,
        eps: float,
    ) -> Tensor:
        """Normalise x (rows, channels, ...) by the statistics of all shares, and update the running ones.

        `training` does not matter: a share of one row asks for running statistics, though others may have more.
        """
        n_own = x.numel() // x.shape[1]
        var, mean = torch.var_mean(x.detach().to(running_mean.dtype), [0, *range(2, x.ndim)], correction=0)
        of_all = self._ranks.gather(torch.cat([mean.new_tensor([n_own]), mean, n_own * var]))
        counts, means, squares = torch.split(of_all, [1, len(mean), len(mean)], 1)  # a row each rank
        n = counts.sum()
        if n == 1:
            return F.batch_norm(x, running_mean, running_var, weight, bias, eps=eps)
        mean = (counts * means).sum(0) / n
        square = (squares + counts * (means - mean) ** 2).sum(0)  # Chan, Golub and LeVeque, COMPSTAT 1982
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(square / (n - 1), momentum)
        y: Tensor = _Normalised.apply(x, weight, bias, mean, square / n, n, eps, self._ranks)  # type: ignore[no-untyped-call]
        return y

    def _dropout(self, x: Tensor, p: float) -> Tensor:
        """Drop of rows (rows, ...) what would be dropped of them if those of all shares followed one another."""
        counts = self._ranks.gather(torch.tensor([len(x)], device=x.device)).flatten().tolist()
        first = sum(counts[: self._ranks.number])
        kept = F.dropout(x.new_ones(sum(counts), *x.shape[1:]), p)
        return x * kept[first : first + len(x)]


class _Normalised(torch.autograd.Function):
    """Batch normalisation by statistics that were made of the rows of all ranks, of which x (rows, ...) are some."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        var: Tensor,
        n: Tensor,
        eps: float,
        ranks: Ranks,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, var, n)
        ctx.eps, ctx.ranks = eps, ranks
        return F.batch_norm(x, mean, var, weight, bias, eps=eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, weight and bias, the latter two by these rows alone."""
        x, weight, mean, var, n = ctx.saved_tensors
        of_x, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, var, None, None, False, ctx.eps, [True, True, True]
        )
        # minus what each row does by its part in the mean and the variance
        through_var, through_mean = (ctx.ranks.sum(torch.stack([of_weight, of_bias])) / n).unbind()
        scale = (var + ctx.eps).rsqrt()
        weighted = scale if weight is None else scale * weight
        level, slope, mean = (
            c.view(1, -1, *[1] * (x.ndim - 2)) for c in (weighted * through_mean, weighted * scale * through_var, mean)
        )
        of_x = of_x - level - slope * (x - mean)
        of_weight, of_bias = (None, None) if weight is None else (of_weight, of_bias)
        return of_x, of_weight, of_bias, None, None, None, None, None
