"""EfficientNets and MobileNets of `benchmarks/foreign_weights.py`: how the original libraries build them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
Original = tuple[Any, Callable[[Any], Any], tuple[Any, Any]]
Sizes = tuple[tuple[int, int], ...]
Row = tuple[Callable[[], Original], str, Sizes]
SIZES: Sizes = ((64, 64), (97, 97), (75, 112))
WHOLE_SIZES: Sizes = (
    (64, 64),
    (96, 96),
    (64, 128),
)  # HF's EfficientNet pads as for its own size, so only sizes like that are equal


def timm_cnn(name: str) -> Original:
    """Return a network of timm whose features are a map, with the preprocessing of its published weights."""
    import timm

    model = timm.create_model(name)
    config = model.pretrained_cfg
    return model, lambda x: model.forward_features(x).permute(0, 2, 3, 1), (config["mean"], config["std"])


def torchvision_features(name: str) -> Original:
    """Return a network of torchvision whose `features` are the map before pooling."""
    import torchvision

    model = getattr(torchvision.models, name)(weights=None)
    return model, lambda x: model.features(x).permute(0, 2, 3, 1), IMAGENET


def hf_efficientnet(width: float, depth: float) -> Original:
    from transformers import EfficientNetConfig, EfficientNetForImageClassification

    config = EfficientNetConfig(width_coefficient=width, depth_coefficient=depth, hidden_dim=round(1280 * width))
    model = EfficientNetForImageClassification(config)
    return model, lambda x: model.efficientnet(x).last_hidden_state.permute(0, 2, 3, 1), IMAGENET


def hf_mobilenet_v2() -> Original:
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    model = MobileNetV2ForImageClassification(MobileNetV2Config())
    half = ((0.5,) * 3, (0.5,) * 3)
    return model, lambda x: model.mobilenet_v2(x).last_hidden_state.permute(0, 2, 3, 1), half


class InSequence:
    """EfficientNet of timm under the names of efficientnet-pytorch, which numbers all blocks in one sequence."""

    PARTS = (
        ("conv_stem", "_conv_stem"),
        ("conv_head", "_conv_head"),
        ("classifier", "_fc"),
        ("conv_pwl", "_project_conv"),
        ("conv_dw", "_depthwise_conv"),
        ("se.conv_", "_se_"),
    )

    def __init__(self, model: Any) -> None:
        self.model = model
        order = [f"{s}.{n}" for s, stage in enumerate(model.blocks) for n in range(len(stage))]
        self.names = {name: self._name(name, order) for name in model.state_dict()}

    def _name(self, name: str, order: list[str]) -> str:
        _, stage, number, *rest = name.split(".") if name.startswith("blocks.") else ("", "", "", name)
        inner = ".".join(rest)
        if stage:
            first = stage == "0"
            norms = {"bn1": "_bn1", "bn2": "_bn2"} if first else {"bn1": "_bn0", "bn2": "_bn1", "bn3": "_bn2"}
            inner = inner.replace("conv_pw.", "_project_conv." if first else "_expand_conv.")
        else:
            norms = {"bn1": "_bn0", "bn2": "_bn1"}
        for theirs, here in self.PARTS:
            inner = inner.replace(theirs, here)
        part, _, last = inner.partition(".")
        inner = f"{norms.get(part, part)}.{last}"
        return f"_blocks.{order.index(f'{stage}.{number}')}.{inner}" if stage else inner

    def state_dict(self) -> dict[str, Any]:
        return {self.names[name]: value for name, value in self.model.state_dict().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict({name: state[self.names[name]] for name in self.names})

    def eval(self) -> None:
        self.model.eval()


def in_sequence(name: str, mean: float, std: float) -> Original:
    """Return a network of timm under the names of efficientnet-pytorch; mean, std: of pixels of 0 to 1."""
    model, features, pixels = timm_cnn(name)
    return InSequence(model), features, pixels if std == 0 else ((mean,) * 3, (std,) * 3)


FIXTURES: dict[str, Row] = {
    **{
        f"timm_{name}": (partial(timm_cnn, name), base, SIZES)
        for name, base in (
            ("tf_efficientnet_lite0", "efficientnet_lite0_timm"),
            ("efficientnet_lite0", "efficientnet_lite0_torch"),
            ("tf_efficientnet_b0", "efficientnetb0"),
            ("efficientnet_b0", "efficientnetb0_torch"),
            ("mobilenetv2_100", "mobilenetv2_torch"),
            ("tf_mobilenetv3_small_100", "mobilenetv3small"),
            ("tf_mobilenetv3_large_100", "mobilenetv3large"),
            ("mobilenetv3_small_100", "mobilenetv3small_timm"),
            ("mobilenetv3_large_100", "mobilenetv3large_timm"),
            ("mobilenetv4_conv_small", "mobilenetv4_conv_small"),
            ("mobilenetv4_conv_medium", "mobilenetv4_conv_medium"),
            ("mobilenetv4_conv_large", "mobilenetv4_conv_large"),
        )
    },
    **{
        f"torchvision_{name}": (partial(torchvision_features, name), base, SIZES)
        for name, base in (
            ("efficientnet_b0", "efficientnetb0_torch"),
            ("mobilenet_v2", "mobilenetv2_torch"),
            ("mobilenet_v3_small", "mobilenetv3small_torch"),
            ("mobilenet_v3_large", "mobilenetv3large_torch"),
        )
    },
    "hf_efficientnet_b0": (partial(hf_efficientnet, 1.0, 1.0), "efficientnetb0", WHOLE_SIZES),
    "hf_mobilenet_v2": (hf_mobilenet_v2, "mobilenetv2", SIZES),
    "sequence_efficientnet_lite0": (
        partial(in_sequence, "tf_efficientnet_lite0", 127 / 255, 128 / 255),
        "efficientnet_lite0",
        SIZES,
    ),
    "sequence_efficientnet_b0": (partial(in_sequence, "tf_efficientnet_b0", 0, 0), "efficientnetb0", SIZES),
}
# Deeper and wider networks of the same code; their features are compared, but not kept in the repository.
VARIANTS: dict[str, Row] = {
    **{
        f"timm_tf_efficientnet_lite{n}": (
            partial(timm_cnn, f"tf_efficientnet_lite{n}"),
            f"efficientnet_lite{n}_timm",
            SIZES,
        )
        for n in range(1, 5)
    },
    **{
        f"timm_tf_efficientnet_b{n}": (partial(timm_cnn, f"tf_efficientnet_b{n}"), f"efficientnetb{n}", SIZES)
        for n in range(1, 8)
    },
    **{
        f"timm_efficientnet_b{n}": (
            partial(timm_cnn, f"efficientnet_b{n}"),
            f"efficientnetb{n}_{'torch' if n < 5 else 'timm'}",
            SIZES,
        )
        for n in range(1, 8)
    },
    **{
        f"torchvision_efficientnet_b{n}": (
            partial(torchvision_features, f"efficientnet_b{n}"),
            f"efficientnetb{n}_torch",
            SIZES,
        )
        for n in range(1, 8)
    },
}
