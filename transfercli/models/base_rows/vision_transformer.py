"""Bases of vision transformers: ViT, DeiT, DeiT-III, DINO, DINOv2, DINOv3, SigLIP and the image towers of CLIP."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from transfercli.models.base import Base
from transfercli.models.base_rows.timm_weights import TIMM_RESULTS
from transfercli.models.networks.transformer import Transformer
from transfercli.models.published_weights import PublishedRepository


@dataclass(frozen=True)
class _Family:
    """Group of rows with one way of training, for images of `size` pixels. settings: of the architecture."""

    title: str
    source: str
    preprocessing: str
    settings: dict[str, Any]
    size: int = 224
    crop: float = 0.9
    interpolation: str = "bicubic"
    pooling: str = "token"


_VIT = _Family("ViT", "Dosovitskiy et al. 2021; Steiner et al. 2022", "symmetric", {})
_VIT_TORCHVISION = _Family("ViT", "torchvision", "torch", {}, crop=0.875, interpolation="bilinear")
_DEIT = _Family("DeiT", "Touvron et al. 2021", "torch", {})
_DEIT_DISTILLED = _Family("DeiT", "Touvron et al. 2021", "torch", {"registers": 1})
_DEIT3 = _Family("DeiT-III", "Touvron et al. 2022", "torch", {})
_DINO = _Family("DINO", "Caron et al. 2021", "torch", {})
_DINOV2 = _Family("DINOv2", "Oquab et al. 2024", "torch", {}, 518, 1.0)
_DINOV2_REGISTERS = _Family("DINOv2", "Darcet et al. 2024", "torch", {"registers": 4}, 518, 1.0)
_ROTARY = {"registers": 4, "positions": "rotary", "epsilon": 1e-5}
_DINOV3 = _Family("DINOv3", "Siméoni et al. 2025", "torch", _ROTARY, 256, 1.0)
# The published network pools by attention; here its tokens are averaged.
_ONLY_PATCHES = {"class_token": False}
_TANH = {**_ONLY_PATCHES, "activation": "gelu_tanh"}
_SIGLIP = _Family("SigLIP", "Zhai et al. 2023", "symmetric", _TANH, pooling="avg")
_SIGLIP_TIMM = _Family("SigLIP", "Zhai et al. 2023; timm", "symmetric", _ONLY_PATCHES, pooling="avg")
_PRE_NORM = {"pre_norm": True, "epsilon": 1e-5}
_CLIP = _Family("CLIP", "Radford et al. 2021", "clip", {**_PRE_NORM, "activation": "quick_gelu"})
_CLIP_GELU = _Family("CLIP", "OpenCLIP; Cherti et al. 2023", "clip", _PRE_NORM)
_CLIP_LAION2B = replace(_CLIP_GELU, preprocessing="symmetric", crop=1.0)

# width, depth, heads
_SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}


@dataclass(frozen=True)
class _Network:
    """Row of the table below. repository: on the Hub; top1: accuracy on ImageNet of weights with a head."""

    family: _Family
    width: str
    patch: int
    repository: str | None
    top1: float | None = None
    size: int | None = None  # pixels; None: that of the family


_NETWORKS = {
    "vit_tiny_patch16": _Network(_VIT, "tiny", 16, "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k", 0.755),
    "vit_small_patch16": _Network(_VIT, "small", 16, "timm/vit_small_patch16_224.augreg_in21k_ft_in1k", 0.814),
    "vit_base_patch16": _Network(_VIT, "base", 16, "timm/vit_base_patch16_224.augreg2_in21k_ft_in1k", 0.851),
    "vit_large_patch16": _Network(_VIT, "large", 16, "timm/vit_large_patch16_224.augreg_in21k_ft_in1k", 0.858),
    "vit_small_patch32": _Network(_VIT, "small", 32, "timm/vit_small_patch32_224.augreg_in21k_ft_in1k", 0.760),
    "vit_base_patch32": _Network(_VIT, "base", 32, "timm/vit_base_patch32_224.augreg_in21k_ft_in1k", 0.807),
    "vit_base_patch8": _Network(_VIT, "base", 8, "timm/vit_base_patch8_224.augreg2_in21k_ft_in1k", 0.862),
    "vit_base_patch16_torch": _Network(_VIT_TORCHVISION, "base", 16, None),
    "vit_base_patch32_torch": _Network(_VIT_TORCHVISION, "base", 32, None),
    "vit_large_patch16_torch": _Network(_VIT_TORCHVISION, "large", 16, None),
    "deit_tiny": _Network(_DEIT, "tiny", 16, "timm/deit_tiny_patch16_224.fb_in1k", 0.722),
    "deit_small": _Network(_DEIT, "small", 16, "timm/deit_small_patch16_224.fb_in1k", 0.798),
    "deit_base": _Network(_DEIT, "base", 16, "timm/deit_base_patch16_224.fb_in1k", 0.820),
    "deit_tiny_distilled": _Network(_DEIT_DISTILLED, "tiny", 16, "timm/deit_tiny_distilled_patch16_224.fb_in1k", 0.745),
    "deit_small_distilled": _Network(
        _DEIT_DISTILLED, "small", 16, "timm/deit_small_distilled_patch16_224.fb_in1k", 0.812
    ),
    "deit_base_distilled": _Network(_DEIT_DISTILLED, "base", 16, "timm/deit_base_distilled_patch16_224.fb_in1k", 0.834),
    "deit3_small": _Network(_DEIT3, "small", 16, "timm/deit3_small_patch16_224.fb_in1k", 0.814),
    "deit3_base": _Network(_DEIT3, "base", 16, "timm/deit3_base_patch16_224.fb_in1k", 0.838),
    "deit3_large": _Network(_DEIT3, "large", 16, "timm/deit3_large_patch16_224.fb_in1k", 0.848),
    "dino_small_patch16": _Network(_DINO, "small", 16, "timm/vit_small_patch16_224.dino"),
    "dino_small_patch8": _Network(_DINO, "small", 8, "timm/vit_small_patch8_224.dino"),
    "dino_base_patch16": _Network(_DINO, "base", 16, "timm/vit_base_patch16_224.dino"),
    "dino_base_patch8": _Network(_DINO, "base", 8, "timm/vit_base_patch8_224.dino"),
    "dinov2_small": _Network(_DINOV2, "small", 14, "timm/vit_small_patch14_dinov2.lvd142m"),
    "dinov2_base": _Network(_DINOV2, "base", 14, "timm/vit_base_patch14_dinov2.lvd142m"),
    "dinov2_large": _Network(_DINOV2, "large", 14, "timm/vit_large_patch14_dinov2.lvd142m"),
    "dinov2_small_registers": _Network(_DINOV2_REGISTERS, "small", 14, "timm/vit_small_patch14_reg4_dinov2.lvd142m"),
    "dinov2_base_registers": _Network(_DINOV2_REGISTERS, "base", 14, "timm/vit_base_patch14_reg4_dinov2.lvd142m"),
    "dinov2_large_registers": _Network(_DINOV2_REGISTERS, "large", 14, "timm/vit_large_patch14_reg4_dinov2.lvd142m"),
    "dinov3_small": _Network(_DINOV3, "small", 16, "timm/vit_small_patch16_dinov3.lvd1689m"),
    "dinov3_base": _Network(_DINOV3, "base", 16, "timm/vit_base_patch16_dinov3.lvd1689m"),
    "dinov3_large": _Network(_DINOV3, "large", 16, "timm/vit_large_patch16_dinov3.lvd1689m"),
    "siglip_base_patch16": _Network(_SIGLIP, "base", 16, "google/siglip-base-patch16-224"),
    "siglip_large_patch16": _Network(_SIGLIP, "large", 16, "google/siglip-large-patch16-256", size=256),
    "siglip_base_patch16_timm": _Network(_SIGLIP_TIMM, "base", 16, "timm/vit_base_patch16_siglip_224.webli"),
    "siglip_large_patch16_timm": _Network(
        _SIGLIP_TIMM, "large", 16, "timm/vit_large_patch16_siglip_256.webli", size=256
    ),
    "clip_base_patch32": _Network(_CLIP, "base", 32, "timm/vit_base_patch32_clip_224.openai"),
    "clip_base_patch16": _Network(_CLIP, "base", 16, "timm/vit_base_patch16_clip_224.openai"),
    "clip_large_patch14": _Network(_CLIP, "large", 14, "timm/vit_large_patch14_clip_224.openai"),
    "clip_base_patch32_gelu": _Network(_CLIP_GELU, "base", 32, "timm/vit_base_patch32_clip_224.laion2b"),
    "clip_base_patch16_gelu": _Network(_CLIP_GELU, "base", 16, "timm/vit_base_patch16_clip_224.laion2b"),
    "clip_large_patch14_gelu": _Network(_CLIP_GELU, "large", 14, "timm/vit_large_patch14_clip_224.datacompxl"),
    "clip_large_patch14_laion2b": _Network(_CLIP_LAION2B, "large", 14, "timm/vit_large_patch14_clip_224.laion2b"),
}


def _row(name: str, network: _Network) -> Base:
    family, size = network.family, network.size or network.family.size
    width, depth, heads = _SIZES[network.width]
    architecture = Transformer(network.patch, width, depth, heads, **family.settings)
    repository, licence = _published(network)
    return Base(
        "transfercli.models.networks.vision_transformer:vision_transformer",
        size,
        family.preprocessing,
        r"^(block\d+)",
        architecture.parameters(size),
        family.title,
        minimum=network.patch,
        source=family.source,
        licence=licence,
        settings={"name": name, "architecture": architecture},
        crop=family.crop,
        interpolation=family.interpolation,
        prefix_tokens=architecture.prefix_tokens,
        patch=network.patch,
        pooling=family.pooling,
        repository=repository,
    )


def _published(network: _Network) -> tuple[PublishedRepository | None, str]:
    """Return the repository of a network's weights and their licence, as its card names it."""
    if network.repository is None:
        return None, "weights of torchvision (BSD-3-Clause)"
    source = TIMM_RESULTS if network.top1 else "no classification head"
    licence, terms = " (apache-2.0)", "apache-2.0"
    if network.family is _DINOV3:  # Meta's terms bind the use of the weights and of what is made with them
        licence, terms = ", the DINOv3 License, which is not free (other)", "dinov3-license, not a free licence"
    published = PublishedRepository(network.repository, network.top1, source, terms)
    return published, f"weights of {network.repository}{licence}"


ROWS: dict[str, Base] = {name: _row(name, network) for name, network in _NETWORKS.items()}
