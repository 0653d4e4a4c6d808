"""Bases of PyTorch's VGGs, with and without BatchNorm.

`vgg16` and `vgg19` of keras.applications have the same convolutions, but other weights, learnt from pixels in the order
BGR without scaling. So these rows are bases of their own.
"""

from __future__ import annotations

from transfercli.models.base import Base
from transfercli.models.base_rows.timm_weights import timm_weights

# Number of convolutions in each of the five blocks.
BLOCKS = {"11": (1, 1, 2, 2, 2), "13": (2, 2, 2, 2, 2), "16": (2, 2, 3, 3, 3), "19": (2, 2, 4, 4, 4)}


def _row(name: str, depth: str, batch_norm: bool, parameters: int, top1: float) -> Base:
    model = f"vgg{depth}{'_bn' if batch_norm else ''}"
    return Base(
        "transfercli.models.networks.vgg:vgg",
        224,
        "torch",
        r"^(block\d+)",
        parameters,
        "VGG",
        source="Simonyan & Zisserman 2015",
        settings={"name": name, "blocks": BLOCKS[depth], "batch_norm": batch_norm},
        **timm_weights(f"{model}.tv_in1k", top1, licence="BSD-3-Clause"),
    )


ROWS: dict[str, Base] = {
    "vgg11": _row("vgg11", "11", False, 9_220_480, 0.690),
    "vgg13": _row("vgg13", "13", False, 9_404_992, 0.699),
    "vgg16_torch": _row("vgg16_torch", "16", False, 14_714_688, 0.716),
    "vgg19_torch": _row("vgg19_torch", "19", False, 20_024_384, 0.724),
    "vgg11_bn": _row("vgg11_bn", "11", True, 9_231_488, 0.704),
    "vgg13_bn": _row("vgg13_bn", "13", True, 9_416_768, 0.716),
    "vgg16_bn": _row("vgg16_bn", "16", True, 14_731_584, 0.734),
    "vgg19_bn": _row("vgg19_bn", "19", True, 20_046_400, 0.742),
}
