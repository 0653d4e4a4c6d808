"""Tensors of the Open Inference Protocol, as JSON or as bytes behind it (the binary tensor data extension)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from transfercli.web.messages import Refusal
from transfercli.workflows.serve.protocols.columns import Column, plain
from transfercli.workflows.serve.protocols.pixels import CHANNELS, file_of_base64, image_of_lists, levels_of_list

UINT8, BYTES, FP32, BOOL = "UINT8", "BYTES", "FP32", "BOOL"
DTYPES = {FP32: "<f4", BOOL: "|b1"}
LENGTH = struct.Struct("<I")  # before each element of BYTES
MOST_ELEMENTS = 1 << 40


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """Tensor of an answer. values: a column; in BYTES, strings or None."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Column

    def flat(self) -> list[Any]:
        """Return the values in row-major order, for JSON."""
        values: list[Any] = plain(self.values)
        for _ in self.shape[1:]:
            values = [one for row in values for one in row]
        return ["" if value is None else value for value in values] if self.datatype == BYTES else values

    def as_bytes(self) -> bytes:
        """Return the values in little-endian byte order; each string after its length."""
        if self.datatype != BYTES:
            return np.asarray(self.values, DTYPES[self.datatype]).tobytes()
        encoded = [value.encode("utf-8", "surrogateescape") for value in self.flat()]
        return b"".join(LENGTH.pack(len(one)) + one for one in encoded)


def images_of_tensor(tensor: Any, binary: bytes | None) -> Sequence[bytes | np.ndarray]:
    """Return the images of an input tensor. binary: its part of the body, or None if it is in the JSON.

    UINT8 [N, H, W, 3] are levels, BYTES [N] are files. Raises `Refusal` if it is neither.
    """
    shape, datatype = _shape(tensor), tensor.get("datatype")
    place = "inputs[0].data"
    if datatype == UINT8:
        if len(shape) != 4 or shape[3] != CHANNELS or not all(shape[1:]):
            raise _refused(f"the shape of UINT8 must be [N, height, width, {CHANNELS}], not {list(shape)}")
        return _levels(tensor.get("data"), shape, place) if binary is None else _levels_of_bytes(binary, shape)
    if datatype != BYTES:
        raise _refused(f"datatype must be UINT8 (levels) or BYTES (files of images), not {str(datatype)[:20]!r}")
    if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
        raise _refused(f"the shape of BYTES must be [N] or [N, 1], not {list(shape)}")
    count = prod(shape)
    if binary is not None:
        return _elements(binary, count)
    texts = _flat_list(tensor.get("data"), len(shape), place)
    if len(texts) != count:
        raise _refused(f"{place} has {len(texts)} elements, and the shape {count}")
    return [file_of_base64(text, f"{place}[{number}]") for number, text in enumerate(texts)]


def _shape(tensor: dict[str, Any]) -> tuple[int, ...]:
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not 1 <= len(shape) <= 4:
        raise _refused("inputs[0].shape must be a list of 1 to 4 whole numbers")
    if not all(type(size) is int and size >= 0 for size in shape) or prod(shape) > MOST_ELEMENTS:
        raise _refused("inputs[0].shape must be a list of whole numbers from 0")
    return tuple(shape)


def _levels(data: Any, shape: tuple[int, ...], place: str) -> Sequence[np.ndarray]:
    """Return the images of JSON, flat or nested."""
    if not isinstance(data, list):
        raise _refused(f"{place} must be a list")
    if data and isinstance(data[0], list):
        images = [image_of_lists(one, f"{place}[{number}]") for number, one in enumerate(data)]
        if len(images) != shape[0] or any(image.shape != shape[1:] for image in images):
            raise _refused(f"{place} has another shape than {list(shape)}")
        return images
    if len(data) != prod(shape):
        raise _refused(f"{place} has {len(data)} numbers, and the shape {prod(shape)}")
    return list(levels_of_list(data, place).reshape(shape))


def _levels_of_bytes(binary: bytes, shape: tuple[int, ...]) -> Sequence[np.ndarray]:
    if len(binary) != prod(shape):
        raise _refused(f"the tensor has {len(binary)} bytes, and its shape {prod(shape)}")
    return list(np.frombuffer(binary, np.uint8).reshape(shape))


def _elements(binary: bytes, count: int) -> list[bytes]:
    """Return the elements of BYTES, each after its length."""
    found: list[bytes] = []
    at = 0
    while at < len(binary) and len(found) < count:
        if at + LENGTH.size > len(binary):
            break
        (length,) = LENGTH.unpack_from(binary, at)
        at += LENGTH.size + length
        if at > len(binary):
            break
        found.append(binary[at - length : at])
    if at != len(binary) or len(found) != count:
        raise _refused(f"the tensor must be {count} elements, each after its length in 4 bytes")
    return found


def _flat_list(data: Any, rank: int, place: str) -> list[Any]:
    if not isinstance(data, list):
        raise _refused(f"{place} must be a list")
    if rank == 2 and data and all(isinstance(row, list) for row in data):
        return [one for row in data for one in row]
    return data


def _refused(message: str) -> Refusal:
    return Refusal(400, "tensor", message)
