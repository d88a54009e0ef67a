"""An accelerator by its parameters: a systolic array, a buffer, a memory interface; its latency, energy, area, power.

Cycles are those of an output-stationary array, 2R + C + K - 2 for each fold of a product onto R x C units (SCALE-Sim;
Samajdar et al., ISPASS 2020). Beside them memory moves what the buffer cannot hold, and the longer of both counts
(roofline; Williams et al., CACM 2009). Energies are those of Horowitz, ISSCC 2014 (45 nm), a buffer's with the root of
its size; areas those of the first TPU (Jouppi et al., ISCA 2017: 28 nm), whose array of 65,536 units is 24 % and whose
24 MiB of buffer are 29 % of at most 331 mm2. So figures of different processes meet: trust ratios, or give your own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as options

from latency_predictors.analytic.kernels import Kernel, Product, kernels
from search_spaces import Block

Floats = NDArray[np.float64]

_FLOAT_BYTES = 4  # of the tensors that kernels tell of


@options(frozen=True, config=ConfigDict(extra="forbid"))
class Technology:
    """What units, bits and their moves cost, whatever an accelerator is made of them."""

    clock_ghz: float = Field(default=0.7, gt=0, description="of the array; the first TPU's")
    bytes_a_number: float = Field(default=1.0, gt=0, description="1 for int8")
    mm2_a_unit: float = Field(default=0.0012, gt=0, description="area of a multiplier with its adder and registers")
    mm2_a_kib: float = Field(default=0.0039, gt=0, description="area of a KiB of buffer")
    mm2_a_gb: float = Field(default=0.3, ge=0, description="area of 10^9 bytes/s of memory interface; an assumption")
    pj_a_mac: float = Field(default=0.3, ge=0, description="energy of a multiply-add in int8, summed in 32 bits")
    pj_a_buffer_byte: float = Field(default=1.25, ge=0, description="energy of a byte from a buffer of 8 KiB")
    pj_a_memory_byte: float = Field(default=160.0, ge=0, description="energy of a byte from or to memory")


_BUFFER_KIB = 8.0  # of which a byte costs `pj_a_buffer_byte`


@dataclass(frozen=True)
class Accelerator:
    """The parameters of an accelerator, or of many at once: arrays of a shape (...), which all figures then have.

    Attributes:
        array_rows: units along the rows of a product.
        array_columns: units along its columns.
        buffer_kib: on the chip, in KiB; one half is filled while the other is worked on.
        bandwidth_gb: of the memory, in 10^9 bytes a second.
        technology: what it is built of.
    """

    array_rows: Floats
    array_columns: Floats
    buffer_kib: Floats
    bandwidth_gb: Floats
    technology: Technology

    def area_mm2(self) -> Floats:
        """Return the area of the array, the buffer and the memory interface."""
        built = self.technology
        array, buffer = self.array_rows * self.array_columns * built.mm2_a_unit, self.buffer_kib * built.mm2_a_kib
        return np.asarray(array + buffer + self.bandwidth_gb * built.mm2_a_gb)

    def peak_watts(self) -> Floats:
        """Return the power with every unit, the buffer and the memory interface at work."""
        built, per_second = self.technology, self.technology.clock_ghz * 1e9
        array = self.array_rows * self.array_columns * built.pj_a_mac * per_second
        fed = (self.array_rows + self.array_columns) * built.bytes_a_number * self._pj_a_buffer_byte() * per_second
        return np.asarray((array + fed + self.bandwidth_gb * 1e9 * built.pj_a_memory_byte) * 1e-12)

    def latency_ms(self, block: Block) -> Floats:
        """Return how long a block takes for a batch of one."""
        seconds = np.zeros(np.shape(self.array_rows))
        for kernel in _computed(block):
            computing = self._cycles(kernel) / (self.technology.clock_ghz * 1e9)
            seconds += np.maximum(computing, self._memory_bytes(kernel) / (self.bandwidth_gb * 1e9))
        return seconds * 1e3

    def energy_mj(self, block: Block) -> Floats:
        """Return the energy of a block for a batch of one."""
        picojoules = np.zeros(np.shape(self.array_rows))
        for kernel in _computed(block):
            picojoules += kernel.macs * self.technology.pj_a_mac
            picojoules += self._buffer_bytes(kernel) * self._pj_a_buffer_byte()
            picojoules += self._memory_bytes(kernel) * self.technology.pj_a_memory_byte
        return picojoules / 1e9

    def _folds(self, product: Product) -> Floats:
        """Return how often the array is filled with outputs."""
        rows, columns = np.ceil(product.rows / self.array_rows), np.ceil(product.columns / self.array_columns)
        return np.asarray(product.count * rows * columns)

    def _cycles(self, kernel: Kernel) -> Floats:
        if not kernel.products:  # of a form that is not known: as if every unit were busy
            return np.asarray(kernel.macs / (self.array_rows * self.array_columns))
        filling = 2 * self.array_rows + self.array_columns - 2
        folded = [self._folds(product) * (filling + product.depth) for product in kernel.products]
        return np.asarray(np.sum(folded, axis=0))

    def _buffer_bytes(self, kernel: Kernel) -> Floats:
        """Return the bytes that the array takes out of the buffer, and gives back."""
        edges = self.array_rows + self.array_columns
        fed = sum((self._folds(one) * one.depth * edges for one in kernel.products), np.zeros(np.shape(edges)))
        return np.asarray((fed + _numbers(kernel)[1]) * self.technology.bytes_a_number)

    def _memory_bytes(self, kernel: Kernel) -> Floats:
        """Return the bytes from and to memory.

        Weights stay in half of the buffer, in parts, and inputs pass by for each part; or the other way round, if that
        moves less.
        """
        inputs, outputs, weights = _numbers(kernel)
        half = self.buffer_kib * 1024 / 2 / self.technology.bytes_a_number
        by_weights = weights + inputs * np.maximum(np.ceil(weights / half), 1)
        by_inputs = inputs + weights * np.maximum(np.ceil(inputs / half), 1)
        return np.asarray((np.minimum(by_weights, by_inputs) + outputs) * self.technology.bytes_a_number)

    def _pj_a_buffer_byte(self) -> Floats:
        return np.asarray(self.technology.pj_a_buffer_byte * np.sqrt(self.buffer_kib / _BUFFER_KIB))


def _computed(block: Block) -> list[Kernel]:
    """Return the kernels that take time: what works number by number is done as outputs leave the array."""
    return [kernel for kernel in kernels(block) if kernel.family != "elementwise"]


def _numbers(kernel: Kernel) -> tuple[float, float, float]:
    """Return how many numbers go in, come out, and are weights."""
    moved, weights = kernel.moved_bytes / _FLOAT_BYTES, kernel.weight_bytes / _FLOAT_BYTES
    outputs = min(moved, float(sum(one.count * one.rows * one.columns for one in kernel.products[-1:])))
    return moved - outputs, outputs, weights
