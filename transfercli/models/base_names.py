"""Names of the bases in other libraries: timm, torchvision, transformers, torch.hub and keras.applications.

`resnet50` alone is Keras's network. With anything that only PyTorch's libraries write (an owner such as `timm/`, a tag
such as `.a1_in1k`, `tv_`), it is the row of their network.
"""

from __future__ import annotations

import re

from transfercli.config.registries import letters
from transfercli.models.bases import BASES
from transfercli.models.weights.foreign.registry import SCHEMES

# Beginnings of a name that say which library it is from.
_KERAS = re.compile(r"(?:tf\.)?keras(?:[./_: ]applications)?[./_: ](?:\w+\.)?")
_HUB = r"(?:(?:https?://)?huggingface\.co/|hf[-_]hub:|hub:)?"
_OWNERS = "timm|microsoft|google|facebook|facebookresearch|openai"
_TORCH = re.compile(rf"{_HUB}(?:(?:{_OWNERS}|torchvision)(?:\.models\.|[/.: ])|tv_)")
_REPOSITORY = re.compile(rf"{_HUB}((?:{_OWNERS})/[\w.-]+)/?", re.IGNORECASE)
# Endings of PyTorch's names: the tag of the weights (a file's ending is none), image sizes and data sets.
_TAG = re.compile(r"\.(?!(?:h5|hdf5|keras|pth?|bin|safetensors|onnx|pb|tflite)$)[a-z][\w.]*$|_weights(?:\.\w+)?$")
_SIZE_OR_DATA = re.compile(r"(?:_(?:96|[1-6]\d\d|(?:in)?(?:1|12|21|22)k))+$")
_WIDTHS = {"ti": "tiny", "s": "small", "b": "base", "l": "large"}
# Names that are spelled unlike the row -> the row, of a network that is not Keras's. A pattern is matched with the name
# without owner and size, its dashes and blanks as underscores, first with its tag and then without.
_SPELLINGS = (
    (r"(resnext\d+)_32x[48]d|(wide_resnet\d+)_2", r"\1\2"),
    (r"tf_(efficientnet_lite\d|mobilenet_?v[23]\w*)", r"\1"),
    (r"(mobilenet_?v[23]\w*?)(?:_100|_1\.0)", r"\1"),
    # timm
    (r"vit_(small|base)_patch(8|16)\.dino", r"dino_\1_patch\2"),
    (r"vit_(\w+)_patch14_dinov2", r"dinov2_\1"),
    (r"vit_(\w+)_patch14_reg4_dinov2", r"dinov2_\1_registers"),
    (r"vit_(\w+)_patch16_dinov3(?:_qkvb)?", r"dinov3_\1"),
    (r"(deit3?_(?:tiny|small|base|large)(?:_distilled)?)_patch16", r"\1"),
    (r"vit_(\w+)_patch(\d+)_siglip", r"siglip_\1_patch\2_timm"),
    (r"vit_(\w+)_patch(\d+)_clip", r"clip_\1_patch\2_gelu"),
    (r"vit_(\w+)_patch(\d+)_clip_quickgelu", r"clip_\1_patch\2"),
    # transformers
    (r"deit_(tiny|small|base)_distilled_patch16", r"deit_\1_distilled"),
    (r"dinov2_with_registers_(\w+)", r"dinov2_\1_registers"),
    (r"clip_vit_(\w+_patch\d+)", r"clip_\1"),
    # torchvision, torch.hub and papers
    (r"vit_([bl])_(16|32)", r"vit_{1}_patch\2_torch"),
    (r"dino_vit(s|b)_?(8|16)", r"dino_{1}_patch\2"),
    (r"dinov2_vit_?(s|b|l)[_/]?14", r"dinov2_{1}"),
    (r"dinov2_vit(s|b|l)14_reg4?", r"dinov2_{1}_registers"),
    (r"dinov3_vit_?(s|b|l)[_/]?16(?:_pretrain_lvd1689m)?", r"dinov3_{1}"),
    (r"clip_vit_(b|l)[_/](14|16|32)", r"clip_{1}_patch\2"),
    (r"vit_(ti|s|b|l)/(8|16|32)", r"vit_{1}_patch\2"),
)


def bases_named(text: str) -> tuple[str, ...]:
    """Return the bases that a name may stand for: one, several for an ambiguous name, or none."""
    if text in BASES:
        return (text,)
    name = text.strip().casefold()
    published = tuple(
        key for key, row in BASES.items() if row.repository and row.repository.repository.casefold() == name
    )
    return published or _alike(name) or _in_library(name) or _family(name)


def repository_named(text: str) -> str | None:
    """Return OWNER/NAME if the name of a base is that of a repository on the Hugging Face Hub, else None."""
    match = _REPOSITORY.fullmatch(text.strip())
    # timm's repositories have a tag, such as `timm/resnet18.a1_in1k`; without it, a name is that of the network.
    return match[1] if match and (not match[1].startswith("timm/") or _TAG.search(match[1].casefold())) else None


def _alike(name: str) -> tuple[str, ...]:
    """Return the bases whose names have the same letters and digits: `EfficientNet-B0`, `efficientnet_b0`."""
    return tuple(key for key in BASES if letters(key) == letters(name)) if letters(name) else ()


def _in_library(name: str) -> tuple[str, ...]:
    """Return the base with the name of another library."""
    keras = _KERAS.match(name)
    if keras:
        return tuple(key for key in _alike(name[keras.end() :]) if _is_of_keras(key))
    owner = _TORCH.match(name)
    name = re.sub(r"[- ]", "_", name[owner.end() :] if owner else name)
    tag = _TAG.search(name)
    plain = _SIZE_OR_DATA.sub("", name[: tag.start()] if tag else name)
    for full in (plain + tag.group() if tag else plain, plain):
        for pattern, row in _SPELLINGS:
            if match := re.fullmatch(pattern, full):
                width = _WIDTHS.get(match[1] or "", "")
                return _of_torch(match.expand(row.replace("{1}", width)))
    return _of_torch(plain) if owner or tag else _alike(plain)


def _of_torch(name: str) -> tuple[str, ...]:
    """Return the base of this name whose network is that of PyTorch's libraries, or takes their weights as it is."""
    plain = _alike(name)
    mapped = {base for scheme in SCHEMES for base in scheme.members}
    return tuple(key for key in plain if not _is_of_keras(key)) or _alike(f"{name}_torch") or tuple({*plain} & mapped)


def _family(name: str) -> tuple[str, ...]:
    """Return the bases of a family, or those whose names begin with whole words of this one."""
    family = tuple(key for key, row in BASES.items() if letters(row.family) == letters(name))
    words = re.sub(r"[- ]", "_", name)
    begun = tuple(key for key in BASES if key.startswith(f"{words}_")) if words else ()
    return family or (begun if len(begun) > 1 else ())


def _is_of_keras(base: str) -> bool:
    return BASES[base].builder.startswith("keras.applications:")
