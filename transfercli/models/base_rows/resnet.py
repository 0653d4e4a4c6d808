"""Bases of PyTorch's ResNets: v1.5 bottlenecks, ResNeXts and wide ResNets."""

from __future__ import annotations

from typing import Any

from transfercli.models.base import Base


def _row(name: str, parameters: int, blocks: tuple[int, ...], block: str = "bottleneck", **settings: Any) -> Base:
    return Base(
        "transfercli.models.networks.resnet:resnet",
        224,
        "torch",
        r"^(conv\d)",
        parameters,
        "ResNet",
        source="He et al. 2016",
        settings={"name": name, "blocks": blocks, "block": block, **settings},
        crop=0.875,
    )


RESNET18 = {"resnet18": _row("resnet18", 11_186_112, (2, 2, 2, 2), "basic")}

ROWS: dict[str, Base] = {
    "resnet34": _row("resnet34", 21_301_696, (3, 4, 6, 3), "basic"),
    "resnet50_torch": _row("resnet50_torch", 23_561_152, (3, 4, 6, 3)),
}
