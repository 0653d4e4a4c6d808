"""Names of the bases in other libraries: timm, torchvision, transformers, torch.hub and keras.applications.

`resnet50` alone is Keras's network. With anything that only PyTorch's libraries write (an owner such as `timm/`, a tag
such as `.a1_in1k`, `tv_`), it is the row of their network.
"""

from __future__ import annotations

import re

from transfercli.config.registries import letters
from transfercli.models.bases import BASES
from transfercli.models.weights.foreign.registry import SCHEMES

_HUB = r"(?:(?:https?://)?huggingface\.co/|hf[-_]hub:|hub:)?"
_KERAS = re.compile(r"(?:tf\.)?keras(?:[./_: ]applications)?[./_: ](?:\w+\.)?")
_AUTHORS = "microsoft|google|facebook|facebookresearch|openai"
# Beginnings of a name that say which library it is from -> suffixes of the rows of its networks, the likeliest first.
# Suffixes name the library whose network a row is, if that differs from the one of the plain name. `_KERAS_ROW` stands
# for Keras's network of the plain name, if it takes the weights of PyTorch's libraries as they are.
_KERAS_ROW = "keras"
_TIMM, _TORCHVISION, _OTHERS = (
    ("_timm", "", "_torch", _KERAS_ROW),
    ("_torch", "", _KERAS_ROW),
    (_KERAS_ROW, "", "_torch"),
)
_LIBRARIES = (
    (re.compile(rf"{_HUB}timm[/.: ]"), _TIMM),
    (re.compile(r"torchvision(?:\.models\.|[/.: ])|tv_"), _TORCHVISION),
    (re.compile(rf"{_HUB}(?:{_AUTHORS})/"), _OTHERS),
)
_REPOSITORY = re.compile(rf"{_HUB}((?:timm|{_AUTHORS})/[\w.-]+)/?", re.IGNORECASE)
# Endings of PyTorch's names: timm's tag of the weights (a file's ending is none), torchvision's class of weights, image
# sizes and data sets.
_TAG = re.compile(r"\.(?!(?:h5|hdf5|keras|pth?|bin|safetensors|onnx|pb|tflite)$)[a-z][\w.]*$")
# Tags of weights that expect other pixels than the rest of their network: no base prepares these.
_OTHER_PIXELS = re.compile(r"\.(?:ap_|miil|ra4_e3600|e3600)")
_WEIGHTS_CLASS = re.compile(r"_weights(?:\.\w+)?$")
_SIZE_OR_DATA = re.compile(r"(?:_(?:96|1[1-9]\d|[2-6]\d\d|(?:in)?(?:1|12|21|22)k))+$")
_WIDTHS = {"ti": "tiny", "s": "small", "b": "base", "l": "large"}
# Names that are spelled unlike their row: a pattern of the name without owner and size, its dashes and blanks as
# underscores, first with its tag and then without; the row, of which `{1}` is the first group as a width; its suffixes.
_SPELLINGS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (r"(resnext\d+)_32x[48]d|(wide_resnet\d+)_2", r"\1\2", _OTHERS),
    # timm
    (r"tf_(efficientnet_lite\d)", r"\1", ("_timm", "")),
    (r"tf_((?:efficientnet|mobilenet)(?!_lite)\w*?)(?:_100)?", r"\1", (_KERAS_ROW,)),  # TensorFlow's padding
    (r"(mobilenet_?v[23]\w*)_100", r"\1", _TIMM),
    (r"(mobilenet_v2)_1\.0", r"\1", (_KERAS_ROW,)),  # of Google, on the Hub
    (r"vit_(small|base)_patch(8|16)\.dino", r"dino_\1_patch\2", ("",)),
    (r"vit_(\w+)_patch14_dinov2", r"dinov2_\1", ("",)),
    (r"vit_(\w+)_patch14_reg4_dinov2", r"dinov2_\1_registers", ("",)),
    (r"vit_(\w+)_patch16_dinov3(?:_qkvb)?", r"dinov3_\1", ("",)),
    (r"(deit3?_(?:tiny|small|base|large)(?:_distilled)?)_patch16", r"\1", ("",)),
    (r"vit_(\w+)_patch(\d+)_siglip", r"siglip_\1_patch\2_timm", ("",)),
    (r"vit_(\w+)_patch(\d+)_clip", r"clip_\1_patch\2_gelu", ("",)),
    (r"vit_(\w+)_patch(\d+)_clip_quickgelu", r"clip_\1_patch\2", ("",)),
    # transformers
    (r"deit_(tiny|small|base)_distilled_patch16", r"deit_\1_distilled", ("",)),
    (r"dinov2_with_registers_(\w+)", r"dinov2_\1_registers", ("",)),
    (r"clip_vit_(\w+_patch\d+)", r"clip_\1", ("",)),
    # torchvision, torch.hub and papers
    (r"vit_([bl])_(16|32)", r"vit_{1}_patch\2", _TORCHVISION),
    (r"dino_vit(s|b)_?(8|16)", r"dino_{1}_patch\2", ("",)),
    (r"dinov2_vit_?(s|b|l)[_/]?14", r"dinov2_{1}", ("",)),
    (r"dinov2_vit(s|b|l)14_reg4?", r"dinov2_{1}_registers", ("",)),
    (r"dinov3_vit_?(s|b|l)[_/]?16(?:_pretrain_lvd1689m)?", r"dinov3_{1}", ("",)),
    (r"clip_vit_(b|l)[_/](14|16|32)", r"clip_{1}_patch\2", ("",)),
    (r"vit_(ti|s|b|l)/(8|16|32)", r"vit_{1}_patch\2", ("",)),
)


def bases_named(text: str) -> tuple[str, ...]:
    """Return the bases that a name may stand for: one, several for an ambiguous name, or none."""
    if text in BASES:
        return (text,)
    name = text.strip().casefold()
    return _of_repository(name) or _alike(name) or _in_library(name) or _family(name)


def repository_named(text: str) -> str | None:
    """Return OWNER/NAME if the name of a base is that of a repository on the Hugging Face Hub, else None."""
    match = _REPOSITORY.fullmatch(text.strip())
    # timm's repositories have a tag, such as `timm/resnet18.a1_in1k`; without it, a name is that of the network.
    return match[1] if match and (not match[1].startswith("timm/") or _TAG.search(match[1].casefold())) else None


def _alike(name: str) -> tuple[str, ...]:
    """Return the bases whose names have the same letters and digits: `EfficientNet-B0`, `efficientnet_b0`."""
    return tuple(key for key in BASES if letters(key) == letters(name)) if letters(name) else ()


def _of_repository(name: str) -> tuple[str, ...]:
    """Return the base whose published weights are in the repository of this name."""
    return tuple(key for key, row in BASES.items() if row.repository and row.repository.repository.casefold() == name)


def _in_library(name: str) -> tuple[str, ...]:
    """Return the base with the name of another library."""
    if keras := _KERAS.match(name):
        return tuple(key for key in _alike(name[keras.end() :]) if _is_of_keras(key))
    suffixes: tuple[str, ...] = ()
    for library, rows in _LIBRARIES:
        if owner := library.match(name):
            name, suffixes = name[owner.end() :], rows
            break
    name = re.sub(r"[- ]", "_", name)
    if weights_class := _WEIGHTS_CLASS.search(name):
        name, suffixes = name[: weights_class.start()], _TORCHVISION
    tag = _TAG.search(name)
    if tag and _OTHER_PIXELS.match(tag.group()) and not _of_repository(f"timm/{name}"):
        return ()
    architecture = name[: tag.start()] if tag else name
    plain = _SIZE_OR_DATA.sub("", architecture)
    suffixes = suffixes or (_TIMM if tag else ())
    may_be_timm = suffixes == _TIMM or not _alike(plain)
    if may_be_timm and (found := _of_repository(f"timm/{name}") or _of_timm(plain)):
        return found
    for full in (plain + tag.group() if tag else plain, plain):
        for pattern, row, spelled in _SPELLINGS:
            if match := re.fullmatch(pattern, full):
                width = _WIDTHS.get(match[1] or "", "")
                return _with_suffix(match.expand(row.replace("{1}", width)), spelled)
    return _with_suffix(plain, suffixes) if suffixes else _alike(plain)


def _of_timm(plain: str) -> tuple[str, ...]:
    """Return the bases whose published weights are of timm's network of this name, without its size."""
    found = tuple(
        key
        for key, row in BASES.items()
        if row.repository
        and row.repository.repository.startswith("timm/")
        and _SIZE_OR_DATA.sub("", row.repository.repository.removeprefix("timm/").partition(".")[0]) == plain
    )
    return found if len(found) == 1 else ()


def _with_suffix(name: str, suffixes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the row of this name with the first of the suffixes that there is."""
    mapped = {base for scheme in SCHEMES for base in scheme.members}
    for suffix in suffixes:
        if suffix == _KERAS_ROW:
            found = tuple(key for key in _alike(name) if _is_of_keras(key) and key in mapped)
        else:
            found = tuple(key for key in _alike(name + suffix) if not _is_of_keras(key))
        if found:
            return found
    return ()


def _family(name: str) -> tuple[str, ...]:
    """Return the bases of a family, or those whose names begin with whole words of this one."""
    family = tuple(key for key, row in BASES.items() if letters(row.family) == letters(name))
    words = re.sub(r"[- ]", "_", name)
    begun = tuple(key for key in BASES if key.startswith(f"{words}_")) if words else ()
    return family or (begun if len(begun) > 1 else ())


def _is_of_keras(base: str) -> bool:
    return BASES[base].builder.startswith("keras.applications:")
