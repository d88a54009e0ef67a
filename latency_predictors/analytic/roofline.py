"""A device that is given by numbers alone: peak computing, bandwidth, the cost of a launch; its latency and energy.

Each kernel takes as long as its multiply-adds at the peak or its bytes at the bandwidth, whichever is longer, and a
launch (roofline model; Williams et al., CACM 2009). Nothing is measured: for tests, and for devices to be built.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from latency_predictors.analytic.kernels import kernels
from latency_predictors.cost_model import BlockCost
from latency_predictors.device import Device
from latency_predictors.latency_model import LatencyModel
from search_spaces import Block, SearchSpace
from search_spaces.errors import InputError, invalid
from search_spaces.storage import read_json, write_json

Rate = Annotated[float, Field(strict=True, ge=1e-6, le=1e12, allow_inf_nan=False)]
"""From a thousand operations or bytes a second, to more than all machines together do."""

Cost = Annotated[float, Field(strict=True, ge=0, le=1e9, allow_inf_nan=False)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Roofline(LatencyModel):
    """Peak figures of a device; the defaults are of the order of one core of a server processor."""

    schema: ClassVar[str] = "roofline-device/1"
    metrics: ClassVar[tuple[str, ...]] = ("latency_ms", "energy_mj")
    device = None
    fingerprint = None

    gflops: Rate = Field(default=50.0, description="peak, in 10^9 floating-point operations a second")
    bandwidth_gb: Rate = Field(default=10.0, description="memory, in 10^9 bytes a second")
    launch_us: Cost = Field(default=1.0, description="of each kernel, in microseconds")
    pj_per_flop: Cost = Field(default=2.0, description="energy of a floating-point operation, in picojoules")
    pj_per_byte: Cost = Field(default=50.0, description="energy of a byte moved, in picojoules")
    static_watts: Cost = Field(default=1.0, description="power while it runs, whatever it does")

    def latency_ms(self, block: Block) -> float:
        """Return how long a block takes for a batch of one."""
        seconds = 0.0
        for kernel in kernels(block):
            computing = 2 * kernel.macs / (self.gflops * 1e9)
            moving = (kernel.moved_bytes + kernel.weight_bytes) / (self.bandwidth_gb * 1e9)
            seconds += max(computing, moving) + self.launch_us / 1e6
        return seconds * 1e3

    def energy_mj(self, block: Block) -> float:
        """Return the energy of a block for a batch of one, in millijoules."""
        flops = sum(2 * kernel.macs for kernel in kernels(block))
        n_bytes = sum(kernel.moved_bytes + kernel.weight_bytes for kernel in kernels(block))
        return (flops * self.pj_per_flop + n_bytes * self.pj_per_byte) / 1e9 + self.static_watts * self.latency_ms(
            block
        )

    def cost_models(self, space: SearchSpace) -> dict[str, BlockCost]:
        """Return `latency_ms` and `energy_mj` of a space's networks, exact and with exact extremes."""

        def cost(metric: str, values: list[float]) -> BlockCost:
            return BlockCost(space, metric, np.array(values, dtype=np.float64))

        blocks = space.index.blocks
        return {
            "latency_ms": cost("latency_ms", [self.latency_ms(block) for block in blocks]),
            "energy_mj": cost("energy_mj", [self.energy_mj(block) for block in blocks]),
        }

    def cost_model(self, space: SearchSpace) -> BlockCost:
        return self.cost_models(space)["latency_ms"]

    def on_device(self, device: Device) -> "Roofline":
        raise InputError(f"a roofline device is numbers alone: it cannot be at {device.host}")

    def save(self, path: Path) -> None:
        """Write the figures as JSON."""
        write_json(path, self.schema, asdict(self))

    @classmethod
    def load(cls, path: Path) -> "Roofline":
        """Read what `save` wrote, or a person.

        Raises:
            InputError: the file is missing or damaged, or a figure is unknown or out of range.
        """
        document = read_json(path, cls.schema)
        del document["schema"]
        try:
            return TypeAdapter(cls).validate_python(document)
        except ValidationError as error:
            raise invalid(f"roofline device {path}", error) from None
