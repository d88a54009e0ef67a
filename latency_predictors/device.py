"""A device runs networks: what it is, how its latencies are measured, and what comes of that."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic.dataclasses import dataclass

from latency_predictors import runtimes
from latency_predictors.kit.ssh import parse_address
from latency_predictors.on_device import machine
from latency_predictors.on_device.timing import STATISTIC
from search_spaces.errors import InputError, invalid, unknown

__all__ = ["DEVICES", "STATISTIC", "Device", "MeasureOptions", "Measurement"]

DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Device:
    """A processor under one runtime, here or on another machine: what a latency is a latency of."""

    name: str = Field(default="cpu", description="what runs the networks: cpu, the processor, or cuda, an NVIDIA GPU")
    runtime: str = Field(default="onnxruntime", description=f"software that runs them: {', '.join(runtimes.names())}")
    threads: int = Field(default=1, ge=1, description="threads that one network may use")
    batch_size: int = Field(default=1, ge=1, description="images a run")
    precision: Literal["float32", "int8"] = Field(
        default="float32", description="number format of weights and activations: float32 or int8"
    )
    cores: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        default=None,
        description="numbers of the cores to hold the runs on, as many as threads; unset: the last ones",
    )
    host: str | None = Field(
        default=None,
        description="where it is, as ssh://user@host[:port][/path/of/python3]; unset: this machine",
        json_schema_extra={"flag": "on"},
    )

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in DEVICES:
            raise unknown("device", name, DEVICES)
        return name

    @field_validator("runtime")
    @classmethod
    def _known_runtime(cls, runtime: str) -> str:
        if runtime not in runtimes.names():
            raise unknown("runtime", runtime, runtimes.names())
        return runtime

    @field_validator("host")
    @classmethod
    def _address(cls, host: str | None) -> str | None:
        if host is not None:
            parse_address(host)
        return host

    def __post_init__(self) -> None:
        if self.cores is not None and not len({*self.cores}) == len(self.cores) == self.threads:
            told = ", ".join(map(str, self.cores))
            raise InputError(f"device cores {told} are not {self.threads} different ones: give one a thread")

    def require_possible(self) -> None:
        """Raise unless the runtime is installed and does what the device says, with the cores that there are.

        Of a device elsewhere, the cores are found out there.

        Raises:
            InputError: names the field that is to be another.
        """
        if self.host is not None:
            self.require_portable()
            return
        self._require_served()
        runtimes.load(self.runtime).fingerprint(self)  # which there is not where the processor is lacking
        if self.threads > machine.n_cores():
            raise InputError(
                f"device threads {self.threads} are more than the {machine.n_cores()} cores here: lower `threads`"
            )
        if self.cores is not None and (why := machine.unusable(self.cores)):
            raise InputError(f"device cores {', '.join(map(str, self.cores))}: {why}")

    def require_portable(self) -> None:
        """Raise unless a kit can take what the device needs to a machine where the project is not.

        Raises:
            InputError: names the field that is to be another.
        """
        self._require_served()
        if not runtimes.described(self.runtime).in_kits:
            able = [name for name in runtimes.names() if runtimes.described(name).in_kits]
            raise InputError(
                f"runtime {self.runtime} is measured on this machine only: elsewhere, {' or '.join(able)} is"
            )

    def _require_served(self) -> None:
        runtime = runtimes.described(self.runtime)
        for what, value, known in (
            ("name", self.name, runtime.processors),
            ("precision", self.precision, runtime.precisions),
        ):
            if value not in known:
                raise InputError(f"device {what} {value}: runtime {self.runtime} is measured with {' or '.join(known)}")
        if runtime.largest_batch is not None and self.batch_size > runtime.largest_batch:
            raise InputError(
                f"device batch_size {self.batch_size}: runtime {self.runtime} takes at most {runtime.largest_batch}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Device":
        """Return the device that `to_json` wrote.

        Raises:
            InputError: a field is unknown or its value is out of range.
        """
        try:
            return TypeAdapter(cls).validate_python(dict(document))
        except ValidationError as error:
            raise invalid("device", error) from None


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class MeasureOptions:
    """How long to measure: until the latencies are stable, within bounds of time."""

    warmup_runs: int = Field(default=8, ge=1, description="untimed runs of each model before the first round")
    runs_per_visit: int = Field(default=5, ge=1, description="timed runs of a model in each round")
    min_rounds: int = Field(default=10, ge=2, description="rounds before latencies may count as stable")
    min_seconds: float = Field(
        default=5.0, ge=0, description="time before latencies may count as stable: neighbours are busy for seconds"
    )
    max_seconds: float = Field(
        default=120.0, gt=0, description="time after which measuring stops, once min_rounds are done"
    )
    tolerance: float = Field(
        default=0.01, gt=0, description="relative change of a latency by the second half of the rounds that is stable"
    )
    stable_share: float = Field(
        default=0.95,
        gt=0,
        le=1,
        description="share of stable models that is enough: one of hundreds is always restless",
    )
    seed: int = Field(default=0, ge=0, description="seed of the models' order in each round")

    def __post_init__(self) -> None:
        if self.min_seconds > self.max_seconds:
            raise InputError(
                f"measure min_seconds {self.min_seconds:g} is more than max_seconds {self.max_seconds:g}: "
                "lower min_seconds, or raise max_seconds, too"
            )


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Measurement:
    """The latency of one model, and how far to trust it."""

    quantile_ms: float = Field(description="10 % quantile over all runs: the latency that tables and budgets mean")
    median_ms: float = Field(description="median over all runs")
    minimum_ms: float = Field(description="fastest run")
    spread: float = Field(
        ge=0, allow_inf_nan=False, description="(median - quantile) / quantile: how disturbed the runs were"
    )
    n_runs: int = Field(ge=0, description="timed runs")
    stable: bool = Field(description="whether the second half of the rounds left the quantile where it was")
    pinned: bool = Field(description="whether the runs were held on fixed cores")
    clock_mhz: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="median clock of the core, if the system tells"
    )
    load: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="mean number of running processes, this one among them"
    )
    interpolated: bool = Field(default=False, description="whether other blocks foretell it: it was never measured")

    def scaled(self, factor: float) -> "Measurement":
        """Return the measurement as it would be on a device that takes `factor` times as long."""
        scaled_ms = {name: getattr(self, name) * factor for name in ("quantile_ms", "median_ms", "minimum_ms")}
        return replace(self, **scaled_ms)
