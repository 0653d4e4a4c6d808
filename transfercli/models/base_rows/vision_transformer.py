"""Bases of vision transformers: ViT, DeiT, DeiT-III, DINO, DINOv2, DINOv3, SigLIP and the image towers of CLIP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from transfercli.models.base import Base
from transfercli.models.networks.transformer import Transformer

WIDTHS = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}


@dataclass(frozen=True)
class _Family:
    """Group of rows with one way of training, for images of `size` pixels.

    licence: of the weights. settings: of the architecture.
    """

    title: str
    source: str
    licence: str
    preprocessing: str
    settings: dict[str, Any]
    size: int = 224
    crop: float = 0.9
    interpolation: str = "bicubic"
    pooling: str = "token"


def _row(name: str, family: _Family, width: str, patch: int, size: int | None = None) -> Base:
    size = size or family.size
    tokens, depth, heads = WIDTHS[width]
    architecture = Transformer(patch, tokens, depth, heads, **family.settings)
    return Base(
        "transfercli.models.networks.vision_transformer:vision_transformer",
        size,
        family.preprocessing,
        r"^(block\d+)",
        architecture.parameters(size),
        family.title,
        minimum=patch,
        source=family.source,
        licence=family.licence,
        settings={"name": name, "architecture": architecture},
        crop=family.crop,
        interpolation=family.interpolation,
        prefix_tokens=architecture.prefix_tokens,
        patch=patch,
        pooling=family.pooling,
    )


_APACHE = "Apache License 2.0 (apache-2.0)"
_MIT = "MIT License (mit)"
_DINOV3_LICENCE = (
    "DINOv3 License of Meta: not a free licence; terms must be accepted before the download (dinov3-license)"
)
_TORCHVISION = "BSD 3-Clause, the licence of torchvision (bsd-3-clause)"

_VIT = _Family("ViT", "Dosovitskiy et al. 2021; Steiner et al. 2022", _APACHE, "symmetric", {})
_VIT_TORCHVISION = _Family("ViT", "torchvision", _TORCHVISION, "torch", {}, crop=0.875, interpolation="bilinear")
_DEIT = _Family("DeiT", "Touvron et al. 2021", _APACHE, "torch", {})
_DEIT_DISTILLED = _Family("DeiT", "Touvron et al. 2021", _APACHE, "torch", {"registers": 1})
_DEIT3 = _Family("DeiT-III", "Touvron et al. 2022", _APACHE, "torch", {}, crop=1.0)
_DINO = _Family("DINO", "Caron et al. 2021", _APACHE, "torch", {}, crop=0.875)
_DINOV2 = _Family("DINOv2", "Oquab et al. 2024", _APACHE, "torch", {}, 518, 1.0)
_DINOV2_REGISTERS = _Family("DINOv2", "Darcet et al. 2024", _APACHE, "torch", {"registers": 4}, 518, 1.0)
_DINOV3 = _Family(
    "DINOv3",
    "Siméoni et al. 2025",
    _DINOV3_LICENCE,
    "torch",
    {"registers": 4, "positions": "rotary", "epsilon": 1e-5},
    256,
    1.0,
)
_SIGLIP_SETTINGS = {"class_token": False}
_SIGLIP = _Family(
    "SigLIP", "Zhai et al. 2023", _APACHE, "symmetric", {**_SIGLIP_SETTINGS, "activation": "gelu_tanh"}, pooling="avg"
)
_SIGLIP_TIMM = _Family("SigLIP", "Zhai et al. 2023; timm", _APACHE, "symmetric", _SIGLIP_SETTINGS, pooling="avg")
_CLIP_SETTINGS = {"pre_norm": True, "epsilon": 1e-5}
_CLIP = _Family("CLIP", "Radford et al. 2021", _MIT, "clip", {**_CLIP_SETTINGS, "activation": "quick_gelu"}, crop=1.0)
_CLIP_GELU = _Family("CLIP", "OpenCLIP; Cherti et al. 2023", _MIT, "clip", _CLIP_SETTINGS, crop=1.0)


def _rows() -> Iterator[tuple[str, _Family, str, int]]:
    """Yield name, family, width and patch of every row."""
    for width in WIDTHS:
        yield f"vit_{width}_patch16", _VIT, width, 16
    yield "vit_small_patch32", _VIT, "small", 32
    yield "vit_base_patch32", _VIT, "base", 32
    yield "vit_base_patch8", _VIT, "base", 8
    yield "vit_base_patch16_torch", _VIT_TORCHVISION, "base", 16
    yield "vit_base_patch32_torch", _VIT_TORCHVISION, "base", 32
    yield "vit_large_patch16_torch", _VIT_TORCHVISION, "large", 16
    for width in ("tiny", "small", "base"):
        yield f"deit_{width}", _DEIT, width, 16
        yield f"deit_{width}_distilled", _DEIT_DISTILLED, width, 16
    for width in ("small", "base", "large"):
        yield f"deit3_{width}", _DEIT3, width, 16
        yield f"dinov2_{width}", _DINOV2, width, 14
        yield f"dinov2_{width}_registers", _DINOV2_REGISTERS, width, 14
        yield f"dinov3_{width}", _DINOV3, width, 16
    for width in ("small", "base"):
        yield f"dino_{width}_patch16", _DINO, width, 16
        yield f"dino_{width}_patch8", _DINO, width, 8
    for width in ("base", "large"):
        yield f"siglip_{width}_patch16", _SIGLIP, width, 16
        yield f"siglip_{width}_patch16_timm", _SIGLIP_TIMM, width, 16
    for width, patch in (("base", 32), ("base", 16), ("large", 14)):
        yield f"clip_{width}_patch{patch}", _CLIP, width, patch
        yield f"clip_{width}_patch{patch}_gelu", _CLIP_GELU, width, patch


ROWS: dict[str, Base] = {name: _row(name, family, width, patch) for name, family, width, patch in _rows()}
