"""VGGs: the names of torchvision and timm, which number the layers of a network from its input to its last pooling.

The numbers differ by depth and BatchNorm, so every network has a scheme of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from transfercli.models.base_rows.vgg import ROWS
from transfercli.models.weights.foreign.rules import batch_norm, convolution, together
from transfercli.models.weights.foreign.scheme import Member, Scheme

_LARGEST_NUMBER = 52  # of VGG-19 with BatchNorm
_HIDDEN = "of the hidden layers and the classification head, which follow the pooling of the base"
IGNORED = {r"(classifier|pre_logits|head)\..*": _HIDDEN}


def _numbers(blocks: tuple[int, ...], batch_norm: bool) -> Iterator[tuple[int, str]]:
    """Yield the number of each convolution and its place here, such as `block1_2`.

    A convolution is followed by BatchNorm, if there is any, and ReLU; a block by its pooling.
    """
    number = 0
    for block, count in enumerate(blocks, start=1):
        for convolution_number in range(1, count + 1):
            yield number, f"block{block}_{convolution_number}"
            number += 3 if batch_norm else 2
        number += 1


def _scheme(base: str) -> Scheme:
    settings = ROWS[base].settings
    normalized = settings["batch_norm"]
    places = dict(_numbers(settings["blocks"], normalized))
    last = max(places)
    rules = [convolution(rf"features\.{number}", f"{place}_conv") for number, place in places.items()]
    has: dict[str, tuple[int, ...]] = {
        "features.0.weight": (64, 3, 3, 3),
        f"features.{last}.weight": (512, 512, 3, 3),
    }
    lacks = [f"features.{number}.weight" for number in range(last + 2, _LARGEST_NUMBER)]
    if normalized:
        rules += [batch_norm(rf"features\.{number + 1}", f"{place}_bn") for number, place in places.items()]
        has["features.1.running_mean"] = (64,)
    else:
        lacks.append("features.1.running_mean")
    depth = sum(settings["blocks"]) + 3  # and the three layers of the head
    network = f"VGG-{depth}{' with BatchNorm' if normalized else ''}"
    return Scheme(
        base,
        "PyTorch names of a VGG",
        "features.0.weight",
        together(*rules),
        {base: Member(network, has, tuple(lacks))},
        ignored=IGNORED,
    )


SCHEMES = tuple(_scheme(base) for base in ROWS)
