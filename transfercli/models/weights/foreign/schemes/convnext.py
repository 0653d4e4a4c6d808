"""ConvNeXts: the names of timm, Hugging Face transformers, torchvision and facebookresearch, for Keras's networks.

The LayerNorm before the classification head is part of Keras's network without its head: it normalizes the map before
it is averaged, and not the average. Its weights are those of the file.
"""

from __future__ import annotations

from dataclasses import dataclass

from transfercli.models.weights.foreign.rules import Rule, convolution, dense, layer_norm, together
from transfercli.models.weights.foreign.scheme import Member, Scheme

_SIZES = {  # blocks of each stage, channels of each stage
    "tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
    "small": ((3, 3, 27, 3), (96, 192, 384, 768)),
    "base": ((3, 3, 27, 3), (128, 256, 512, 1024)),
    "large": ((3, 3, 27, 3), (192, 384, 768, 1536)),
    "xlarge": ((3, 3, 27, 3), (256, 512, 1024, 2048)),
}


@dataclass(frozen=True)
class _Names:
    """Names of a library.

    stem: of the first convolution and its LayerNorm. down: of the LayerNorm and the convolution before a stage.
    block: of a block; `{stage}` stands for the stage's number from 0 or from `first`, counted by `step`, and `{block}`
    for the block's. parts: of a block: depthwise convolution, LayerNorm, the two layers after it, LayerScale.
    norm, head: before and in the classification head.
    """

    name: str
    title: str
    stem: tuple[str, str]
    down: tuple[str, str]
    block: str
    parts: tuple[str, str, str, str, str]
    norm: str
    head: str
    step: int = 1
    first: int = 0

    def down_of(self, stage: int) -> tuple[str, str]:
        """Return the names of the LayerNorm and the convolution before a stage, 1 to 3."""
        number = stage * self.step
        return self.down[0].format(stage=number), self.down[1].format(stage=number)

    def part(self, kind: int, stage: int, block: int | str) -> str:
        """Return the name of a part of a block. kind: place in `parts`."""
        return f"{self.block.format(stage=self.first + stage * self.step, block=block)}.{self.parts[kind]}"


_LIBRARIES = (
    _Names(
        "convnext_timm",
        "PyTorch names of a ConvNeXt (timm)",
        ("stem.0", "stem.1"),
        ("stages.{stage}.downsample.0", "stages.{stage}.downsample.1"),
        "stages.{stage}.blocks.{block}",
        ("conv_dw", "norm", "mlp.fc1", "mlp.fc2", "gamma"),
        "head.norm",
        "head.fc",
    ),
    _Names(
        "convnext_facebook",
        "PyTorch names of a ConvNeXt (facebookresearch)",
        ("downsample_layers.0.0", "downsample_layers.0.1"),
        ("downsample_layers.{stage}.0", "downsample_layers.{stage}.1"),
        "stages.{stage}.{block}",
        ("dwconv", "norm", "pwconv1", "pwconv2", "gamma"),
        "norm",
        "head",
    ),
    _Names(
        "convnext_transformers",
        "names of a ConvNeXt (Hugging Face transformers)",
        ("embeddings.patch_embeddings", "embeddings.layernorm"),
        ("encoder.stages.{stage}.downsampling_layer.0", "encoder.stages.{stage}.downsampling_layer.1"),
        "encoder.stages.{stage}.layers.{block}",
        ("dwconv", "layernorm", "pwconv1", "pwconv2", "layer_scale_parameter"),
        "layernorm",
        "classifier",
    ),
    _Names(
        "convnext_torchvision",
        "PyTorch names of a ConvNeXt (torchvision)",
        ("features.0.0", "features.0.1"),
        ("features.{stage}.0", "features.{stage}.1"),
        "features.{stage}.{block}",
        ("block.0", "block.2", "block.3", "block.5", "layer_scale"),
        "classifier.0",
        "classifier.2",
        step=2,
        first=1,
    ),
)


def _escaped(name: str) -> str:
    return name.replace(".", r"\.")


def _rules(names: _Names, size: str) -> tuple[Rule, ...]:
    """Return the rules for one size: Keras's names of layers have it, and number the LayerScales of all stages."""
    depths, ours = _SIZES[size][0], f"convnext_{size}"
    stem, block_of_down = f"{ours}_stem/{ours}_stem", f"{ours}_downsampling_block"
    rules = [
        *convolution(_escaped(names.stem[0]), f"{stem}_conv"),
        *layer_norm(_escaped(names.stem[1]), f"{stem}_layernorm"),
        *layer_norm(_escaped(names.norm), "layer_normalization"),
    ]
    for stage in range(1, 4):
        norm, conv = map(_escaped, names.down_of(stage))
        inner = f"{block_of_down}_{stage - 1}/{ours}_downsampling"
        rules += layer_norm(norm, f"{inner}_layernorm_{stage - 1}")
        rules += convolution(conv, f"{inner}_conv_{stage - 1}")
    for stage in range(4):
        depthwise, norm, first, second, scale = (_part(names, kind, stage) for kind in range(5))
        block = f"{ours}_stage_{stage}_block_{{0}}"
        before = sum(depths[:stage])
        number = r"(\d+)" if stage else r"([1-9]\d*)"
        rules += together(
            convolution(depthwise, f"{block}_depthwise_conv"),
            layer_norm(norm, f"{block}_layernorm"),
            dense(first, f"{block}_pointwise_conv_1"),
            dense(second, f"{block}_pointwise_conv_2"),
            (Rule(scale.replace(r"(\d+)", number), "flat", f"{block}_layer_scale/variable_{{0:+{before}}}"),),
        )
    first_scale = _escaped(names.part(4, 0, 0))
    rules.append(Rule(first_scale, "flat", f"{ours}_stage_0_block_0_layer_scale/variable"))
    return tuple(rules)


def _part(names: _Names, kind: int, stage: int) -> str:
    """Return the pattern of a part of the blocks of a stage; its group is the number of the block."""
    return _escaped(names.part(kind, stage, "BLOCK")).replace("BLOCK", r"(\d+)")


def _member(names: _Names, size: str) -> Member:
    depths, widths = _SIZES[size]
    bias = names.part(0, 2, depths[2] - 1) + ".bias"
    scale = names.part(4, 0, 0)
    kernel = f"{names.down_of(3)[1]}.weight"
    shape = (widths[0], 1, 1) if names.step == 2 else (widths[0],)
    return Member(
        f"ConvNeXt-{size.capitalize()}",
        {bias: (widths[2],), scale: shape, kernel: (widths[3], widths[2], 2, 2)},
        (names.part(0, 2, depths[2]) + ".bias",),
    )


SCHEMES = tuple(
    Scheme(
        f"{names.name}_{size}",
        names.title,
        f"{names.stem[0]}.weight",
        _rules(names, size),
        {f"convnext{size}": _member(names, size)},
        head=names.head,
    )
    for names in _LIBRARIES
    for size in _SIZES
)
