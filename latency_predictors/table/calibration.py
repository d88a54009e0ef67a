"""From blocks measured alone to whole networks: what a sum of parts gets wrong, fitted on a few networks.

A block measured alone pays for a call of the runtime and for converting its input and output between memory layouts,
which inside a network it does not; a network's weights fall out of the cache, which a block's, run again and again, do
not. So a network's latency is a * (sum of block latencies) - b * (blocks) - c * (MB read and written by blocks)
+ d * (MB of weights) + e, with a, b, c, d not negative: a correction that is again a value per block and a constant.

Where a runtime joins or splits some kinds of blocks only, a may differ from kind to kind; where blocks stand for
themselves, the sum alone, or the sum and a constant, does as well. Which form it is, networks left out of the fit tell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from latency_predictors.analytic.counts import count
from search_spaces import Block

Floats = NDArray[np.float64]
Features = Mapping[str, Floats]
"""Values of blocks (blocks,), or their sums over networks (networks,), by name."""

_BYTES_A_WEIGHT = 4
_KIND = "ms of "
_FEWEST_TO_CHOOSE = 6
_FEWEST_OF_A_KIND = 3
_CLEARLY = 2.0
"""Standard errors: what differs by less, on a dozen networks, is chance."""


def block_features(blocks: Sequence[Block], latencies_ms: Floats) -> dict[str, Floats]:
    """Return, each (blocks,): latency in ms, one, MB of input and output, MB of weights; and the latency by kind."""
    n_bytes = [
        [sum(spec.n_bytes for spec in (*block.inputs, block.output)), count(block).n_parameters * _BYTES_A_WEIGHT]
        for block in blocks
    ]
    traffic, weights = np.array(n_bytes).reshape(-1, 2).T / 1e6
    kinds = np.array([type(block).__name__ for block in blocks])
    of_kinds = {f"{_KIND}{kind}": np.where(kinds == kind, latencies_ms, 0.0) for kind in sorted(set(kinds))}
    return {"ms": latencies_ms, "blocks": np.ones(len(blocks)), "traffic": traffic, "weights": weights, **of_kinds}


@dataclass(frozen=True)
class _Form:
    """Which features a latency is made of: those that may not lower it, those that may not raise it, a constant."""

    by_kind: bool
    overheads: bool
    constant: bool

    def signs(self, features: Features) -> dict[str, float]:
        """Return 1 for each feature that takes part and -1 for each that is taken off."""
        latencies = [name for name in features if name.startswith(_KIND)] if self.by_kind else ["ms"]
        overheads = {"blocks": -1.0, "traffic": -1.0, "weights": 1.0} if self.overheads else {}
        return {**dict.fromkeys(latencies, 1.0), **overheads}

    def is_determined(self, sums: Features) -> bool:
        """Tell whether each kind of blocks that takes part occurs in networks enough to say something of it."""
        return all((sums[name] > 0).sum() >= _FEWEST_OF_A_KIND for name in self.signs(sums) if name.startswith(_KIND))


FORMS: Mapping[str, _Form] = {
    "overheads": _Form(by_kind=False, overheads=True, constant=True),
    "scale": _Form(by_kind=False, overheads=False, constant=False),
    "affine": _Form(by_kind=False, overheads=False, constant=True),
    "kinds": _Form(by_kind=True, overheads=False, constant=True),
    "kinds and overheads": _Form(by_kind=True, overheads=True, constant=True),
}
"""The forms of a calibration; the first is taken unless another errs clearly less."""

_DEFAULT = next(iter(FORMS))


@dataclass(frozen=True)
class Calibration:
    """A form and its coefficients.

    Attributes:
        form: one of `FORMS`.
        coefficients: by feature, in ms and ms a MB, or none for latencies.
        constant: in ms, once a network.
        errors: mean of |predicted / measured - 1| of networks left out of the fit one by one, of every form that was
            possible; empty where there were too few networks to choose by.
    """

    form: str
    coefficients: Mapping[str, float]
    constant: float
    errors: Mapping[str, float]

    @classmethod
    def fit(cls, sums: Features, measured_ms: Floats) -> "Calibration":
        """Fit to networks by non-negative least squares of the relative error, in the form that leave-one-out favours.

        Args:
            sums: the features of each network's blocks, added up, (networks,) each.
            measured_ms: (networks,).
        """
        errors = {}
        if len(measured_ms) >= _FEWEST_TO_CHOOSE:
            possible = [name for name, form in FORMS.items() if form.is_determined(sums)]
            errors = {form: _left_out_errors(form, sums, measured_ms) for form in possible}
        means = {form: float(of_networks.mean()) for form, of_networks in errors.items()}
        clearly_better = [form for form in errors if _clearly_less(errors[form], errors[_DEFAULT])]
        form = min(clearly_better, key=means.__getitem__, default=_DEFAULT)
        return replace(cls.of_form(form, sums, measured_ms), errors=means)

    @classmethod
    def of_form(cls, form: str, sums: Features, measured_ms: Floats) -> "Calibration":
        """Fit one form to networks, whether or not another would do better; see `fit`."""
        return cls(form, *_solve(form, sums, measured_ms), {})

    def block_values(self, features: Features) -> Floats:
        """Return (blocks,): what each block adds to a network's latency in ms; `constant` comes on top once."""
        return _added(self.coefficients, features)

    def to_json(self) -> dict[str, Any]:
        """Return the form, its coefficients and the errors of all forms as plain values."""
        return asdict(self)


def _solve(form: str, sums: Features, measured_ms: Floats) -> tuple[dict[str, float], float]:
    """Return the coefficients of a form by feature, and its constant."""
    signs = FORMS[form].signs(sums)
    columns = [sign * sums[name] for name, sign in signs.items()]
    if FORMS[form].constant:
        columns += [np.ones(len(measured_ms)), -np.ones(len(measured_ms))]  # it may have either sign
    solution, _ = scipy.optimize.nnls(np.column_stack(columns) / measured_ms[:, None], np.ones(len(measured_ms)))
    found = [float(value) for value in solution]
    coefficients = {name: sign * value for (name, sign), value in zip(signs.items(), found, strict=False)}
    return coefficients, found[-2] - found[-1] if FORMS[form].constant else 0.0


def _left_out_errors(form: str, sums: Features, measured_ms: Floats) -> Floats:
    """Return (networks,): |predicted / measured - 1| of each network by a fit to the others."""
    predicted = np.empty(len(measured_ms))
    for i in range(len(measured_ms)):
        others = np.arange(len(measured_ms)) != i
        coefficients, constant = _solve(form, {name: x[others] for name, x in sums.items()}, measured_ms[others])
        predicted[i] = _added(coefficients, {name: x[i : i + 1] for name, x in sums.items()})[0] + constant
    return np.abs(predicted / measured_ms - 1)


def _clearly_less(errors: Floats, of_default: Floats) -> bool:
    """Tell whether errors (networks,) are less than others by more than chance makes them."""
    gain = of_default - errors
    return bool(gain.mean() > _CLEARLY * gain.std(ddof=1) / np.sqrt(len(gain)) + 1e-9)


def _added(coefficients: Mapping[str, float], features: Features) -> Floats:
    """Return the sum of features, each times its coefficient; kinds of blocks that are not there add nothing."""
    return sum((value * features[name] for name, value in coefficients.items() if name in features), np.zeros(1))
