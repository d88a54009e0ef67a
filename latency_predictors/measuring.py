"""Measuring models on a device, here or elsewhere, with a check that they compute there what they do under torch."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import cache
from typing import Any

from tqdm import tqdm

from latency_predictors import runtimes
from latency_predictors.device import Device, Measurement, MeasureOptions
from latency_predictors.fingerprint import fingerprint, require_one_machine
from latency_predictors.kit import remote
from latency_predictors.model import Model
from latency_predictors.on_device import timing
from latency_predictors.on_device.runner import LARGEST_DIFFERENCE, Runner, difference
from latency_predictors.runtime import Runtime
from search_spaces.errors import InputError
from search_spaces.progress import progress_bar


def measure(
    device: Device,
    models: Mapping[str, Model],
    *,
    options: MeasureOptions | None = None,
    machine: Mapping[str, str] | None = None,
    resume: bool = False,
    progress: bool = False,
) -> dict[str, Measurement]:
    """Measure models side by side: every round visits each of them once, in an order drawn anew.

    Slow drifts of the machine so meet all models alike. Give blocks and the whole networks that calibrate their sums
    in one call: between two calls, neighbours on the machine shift latencies by up to 2 %.

    Args:
        device: the device; its threads and cores must fit the machine.
        models: the models by name.
        options: how long to measure.
        machine: the fingerprint of the machine that it has to be measured on; None: of whichever answers.
        resume: whether to take what an interrupted call for the same left on a device that is elsewhere: for callers
            that go on where they were, as others say that it is measured now.
        progress: whether to show the rounds on stderr.

    Raises:
        OtherMachineError: it was measured, or would be, on another machine.
        InputError: the runtime cannot load or run a model, computes another output than torch, is not installed or
            does not do what the device says; the device has too few cores, or is elsewhere and does not answer.
    """
    options = options or MeasureOptions()
    device.require_possible()
    if not models:
        return {}
    if device.host is not None:
        results = remote.measure_parts(device, [(models, options)], resume=resume)
        if machine is not None:
            require_one_machine(machine, results.machine, device)
        return results.passes[0]
    if machine is not None:
        require_one_machine(machine, fingerprint(device), device)
    runtime = runtimes.load(device.runtime)
    with runtime.settings(device), ExitStack() as bars:
        loading = bars.enter_context(progress_bar(len(models), "load", "model", show=progress))

        def load(name: str) -> Runner:
            runner = _loaded(runtime, device, name, models[name])
            loading.update()  # some runtimes compile a model for half a minute
            return runner

        @cache
        def rounds() -> "tqdm[Any]":  # begun with the first round, so that its rate is one of rounds
            loading.close()
            return bars.enter_context(progress_bar(None, "measure", "round", show=progress))

        def on_round() -> None:
            rounds().update()

        found = timing.measure(list(models), load, asdict(options), device.threads, on_round, device.cores)
    return {name: Measurement(**entry) for name, entry in found.items()}


def _loaded(runtime: Runtime, device: Device, name: str, model: Model) -> Runner:
    """Return a model that runs and computes what its module does.

    Raises:
        InputError: it does not.
    """
    try:
        runner = runtime.load(runtime.convert(model, device), device)
        runner.run()
        found = difference(runner.output(), model.expected())
    except Exception as error:  # each runtime has its own
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"model {name!r} does not run under {device.runtime} ({reason}): use another runtime, or leave it out"
        ) from None
    if not found <= LARGEST_DIFFERENCE[device.precision]:
        raise InputError(
            f"model {name!r} under {device.runtime} in {device.precision} is not the network that torch runs: their "
            f"outputs differ by {found:.2g} of their size"
        )
    return runner
