"""Speeds of devices, for the cost model of the feature cache.

They are constants, never measured by the run itself, so that a resumed run comes to the same decision.
`python -m benchmarks.device_constants` measures a row.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from transfercli.errors import ArtefactError
from transfercli.io.bounded import RESTORE_HINT

# Share of a GPU's peak that a convolutional network reaches: its layers wait for memory more than they multiply.
EFFICIENCY = 0.1


@dataclass(frozen=True)
class DeviceSpeeds:
    """Speeds of a kind of device; only their ratios matter.

    float32, bfloat16: multiplications a second. read, written: bytes a second of rows in the feature cache.
    source: of the figures.
    """

    kind: str
    float32: float
    bfloat16: float
    read: float = 1e9
    written: float = 4e8
    source: str = "not measured"

    def multiplications(self, precision: str) -> float:
        """Return the multiplications a second in a precision, "float32" or "bfloat16"."""
        return self.bfloat16 if precision == "bfloat16" else self.float32

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def parse(cls, content: Any, context: str) -> DeviceSpeeds:
        """Return the speeds that `as_json` wrote. Raises `ArtefactError` that begins with `context`."""
        try:
            speeds = cls(**content)
            numbers = [float(n) for n in (speeds.float32, speeds.bfloat16, speeds.read, speeds.written)]
        except (TypeError, ValueError):
            numbers = []
        if not numbers or not all(0 < number < math.inf for number in numbers):
            raise ArtefactError(f"{context}: {str(content)[:80]!r} are no speeds of a device", RESTORE_HINT)
        return speeds


PROCESSOR = DeviceSpeeds("cpu", 5e10, 5e10, source="rough, of a few cores; every processor has this row")


def _data_sheet(kind: str, float32: float, bfloat16: float, source: str) -> DeviceSpeeds:
    """Return the row of a GPU from its peaks in dense TFLOPS; a multiplication and an addition are two operations."""
    reached = EFFICIENCY * 1e12 / 2
    return DeviceSpeeds(
        kind, reached * float32, reached * bfloat16, source=f"not measured: {EFFICIENCY:g} of the peak in {source}"
    )


# Peaks of float32 are those of TF32 where a GPU has it: both backends use it for convolutions.
GPUS = (
    _data_sheet("H200", 494.5, 989, "NVIDIA H200 Tensor Core GPU data sheet"),
    _data_sheet("H100", 494.5, 989, "NVIDIA H100 Tensor Core GPU data sheet (SXM)"),
    _data_sheet("A100", 156, 312, "NVIDIA A100 Tensor Core GPU data sheet"),
    _data_sheet("L40S", 183, 362, "NVIDIA L40S data sheet"),
    _data_sheet("L4", 60, 121, "NVIDIA L4 data sheet"),
    _data_sheet("A10G", 35, 70, "NVIDIA A10G data sheet"),
    _data_sheet("A10", 62.5, 125, "NVIDIA A10 data sheet"),
    _data_sheet("V100", 15.7, 15.7, "NVIDIA V100 data sheet (SXM2); without bfloat16"),
    _data_sheet("T4", 8.1, 8.1, "NVIDIA T4 data sheet; without bfloat16"),
)
OTHER = _data_sheet("other accelerator", 8.1, 8.1, "NVIDIA T4 data sheet; an accelerator without a row of its own")


def speeds_of(device: str) -> DeviceSpeeds:
    """Return the speeds of a device by its name: `cpu`, or a name of an accelerator such as `NVIDIA A100-SXM4-40GB`."""
    if device == PROCESSOR.kind:
        return PROCESSOR
    words = device.upper().replace("-", " ").split()
    return next((row for row in GPUS if row.kind in words), OTHER)
