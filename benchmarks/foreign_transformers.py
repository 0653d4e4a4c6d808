"""Vision transformers of `benchmarks/foreign_weights.py`, as the original libraries build them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
Original = tuple[Any, Callable[[Any], Any], tuple[Any, Any]]
SIZES = ((64, 64), (97, 97), (75, 112))
NATIVE_SIZES = ((80, 80), (85, 85), (95, 95))  # of a grid of 5 x 5: transformers resamples otherwise than timm


class Renamed:
    """Weights with the names of another library, which timm's own filter of checkpoints converts.

    module: timm's module whose `checkpoint_filter_fn` is used. shapes: name -> shape in the other library.
    """

    def __init__(self, name: str, module: Any, shapes: dict[str, tuple[int, ...]]) -> None:
        self.name, self.module, self.shapes = name, module, shapes
        self.state: dict[str, Any] = {}

    def eval(self) -> None:
        """Do nothing: networks are built for each image size."""

    def state_dict(self) -> dict[str, Any]:
        import torch

        return self.state or {name: torch.zeros(shape) for name, shape in self.shapes.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = state


def timm_vit(name: str, **settings: Any) -> Original:
    """Return a transformer of timm; its positions are resampled for each image size by timm."""
    import timm

    model = timm.create_model(name, **settings)
    config = model.pretrained_cfg
    return model, lambda x: _timm_features(name, model.state_dict(), x, **settings), (config["mean"], config["std"])


def converted(name: str, names: Callable[[str], str], drop: str = "$^") -> Original:
    """Return a transformer of timm whose tensors have the names of another library.

    names: function from timm's name to the other. drop: regular expression of timm's names that it lacks.
    """
    import timm

    model = timm.create_model(name)
    shapes = {names(key): tuple(value.shape) for key, value in model.state_dict().items() if not re.match(drop, key)}
    renamed = Renamed(name, None, _adapted(shapes))
    config = model.pretrained_cfg
    return renamed, lambda x: _timm_features(name, dict(renamed.state), x), (config["mean"], config["std"])


def _adapted(shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Return shapes as the other libraries have them."""
    if "register_tokens" in shapes:  # DINOv2: the class token has a position, too
        count, width = shapes["pos_embed"][1:]
        return {**shapes, "pos_embed": (1, count + 1, width), "mask_token": (1, width)}
    if "storage_tokens" in shapes:  # DINOv3: all biases, and the periods
        width = shapes["cls_token"][-1]
        biases = {f"blocks.{number}.attn.qkv.bias": (3 * width,) for number in range(12)}
        return {**shapes, **biases, "mask_token": (1, width)}
    if "visual.class_embedding" in shapes:
        width = shapes["visual.class_embedding"][-1]
        shapes = {name: shape for name, shape in shapes.items() if name != "visual.head.bias"}
        positions = shapes["visual.positional_embedding"][1:]
        return {**shapes, "visual.class_embedding": (width,), "visual.positional_embedding": positions}
    return shapes


def _timm_features(name: str, state: dict[str, Any], x: Any, **settings: Any) -> Any:
    import timm

    # Not dynamic: the sides of the image need not be multiples of the patch's.
    model = timm.create_model(name, img_size=tuple(x.shape[2:]), dynamic_img_size=False, **settings)
    if hasattr(model, "rope"):
        from timm.models.eva import checkpoint_filter_fn
    else:
        from timm.models.vision_transformer import checkpoint_filter_fn
    state = dict(checkpoint_filter_fn(dict(state), model))
    result = model.load_state_dict(state, strict=False)
    lost = [key for key in result.missing_keys if not key.startswith("head.")]
    if lost or any(not re.match(r"head|mask_token", key) for key in result.unexpected_keys):
        raise ValueError(f"{name}: {result}")
    return model.eval().forward_features(x)


def openai_name(name: str) -> str:
    """Return OpenAI's name of a tensor of timm's CLIP."""
    renamed = {
        "patch_embed.proj": "conv1",
        "pos_embed": "positional_embedding",
        "cls_token": "class_embedding",
        "norm_pre": "ln_pre",
        "blocks.": "transformer.resblocks.",
        ".norm1": ".ln_1",
        ".norm2": ".ln_2",
        "attn.qkv.": "attn.in_proj_",
        "attn.proj": "attn.out_proj",
        "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
    }
    for theirs, ours in renamed.items():
        name = name.replace(theirs, ours)
    return "visual." + re.sub(r"^norm\.", "ln_post.", name)


def transformers_model(kind: str, preprocessing: tuple[Any, Any], **settings: Any) -> Original:
    """Return a network of Hugging Face transformers. kind: of its classes, such as `ViT`; settings: of its config."""
    import transformers

    suffix = "Vision" if kind in ("CLIP", "Siglip") else ""
    config = getattr(transformers, f"{kind}{suffix}Config")(**settings)
    model = getattr(transformers, f"{kind}{suffix}Model")(config)
    options = {} if kind.startswith("D") and kind != "DeiT" else {"interpolate_pos_encoding": True}

    def features(x: Any) -> Any:
        tokens = model(x, **options).last_hidden_state
        # CLIP normalizes only the class token, in its pooler
        return model.post_layernorm(tokens) if kind == "CLIP" else tokens

    return model, features, preprocessing


def torchvision_vit(name: str, image_size: int) -> Original:
    import torch
    import torchvision

    model = getattr(torchvision.models, name)(weights=None, image_size=image_size)

    def features(x: Any) -> Any:
        patches = model.conv_proj(x).flatten(2).transpose(1, 2)
        return model.encoder(torch.cat([model.class_token.expand(len(x), -1, -1), patches], 1))

    return model, features, IMAGENET


def convnext(library: str) -> Original:
    """Return ConvNeXt-Tiny; Keras's network without its head normalizes the map as the original's head its average."""
    import timm
    import torchvision
    import transformers
    from timm.models.convnext import checkpoint_filter_fn

    if library == "transformers":
        model = transformers.ConvNextModel(transformers.ConvNextConfig())
        return model, lambda x: model.layernorm(model(x).last_hidden_state.permute(0, 2, 3, 1)), IMAGENET
    if library == "torchvision":
        model = torchvision.models.convnext_tiny(weights=None)
        return model, lambda x: model.classifier[0](model.features(x)).permute(0, 2, 3, 1), IMAGENET
    model = timm.create_model("convnext_tiny")

    def features(x: Any) -> Any:
        return model.head.norm(model.forward_features(x)).permute(0, 2, 3, 1)

    if library == "timm":
        return model, features, IMAGENET
    shapes = {_facebook_convnext(key): tuple(value.shape) for key, value in model.state_dict().items()}
    renamed = Renamed("convnext_tiny", None, shapes)

    def converted_features(x: Any) -> Any:
        model.load_state_dict(checkpoint_filter_fn(dict(renamed.state), model))
        return features(x)

    model.eval()
    return renamed, converted_features, IMAGENET


def _facebook_convnext(name: str) -> str:
    name = re.sub(
        r"stages\.(\d)\.downsample\.", r"downsample_layers.\1.", name.replace("stem.", "downsample_layers.0.")
    )
    name = name.replace(".blocks.", ".").replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv")
    return name.replace("head.norm", "norm").replace("head.fc", "head")


_SMALL = {"hidden_size": 384, "num_attention_heads": 6, "num_hidden_layers": 12}
_HIDDEN = {"intermediate_size": 1536}
_NATIVE = {"image_size": 80, "patch_size": 16}


def _distilled() -> Original:
    return transformers_model("DeiT", IMAGENET, **_SMALL, **_HIDDEN, **_NATIVE)


Fixture = tuple[Callable[[], Original], str, tuple[tuple[int, int], ...]]
FIXTURES: dict[str, Fixture] = {
    "timm_vit_tiny": (lambda: timm_vit("vit_tiny_patch16_224"), "vit_tiny_patch16", SIZES),
    "timm_vit_small": (lambda: timm_vit("vit_small_patch16_224"), "vit_small_patch16", SIZES),
    "timm_vit_base_patch32": (lambda: timm_vit("vit_base_patch32_224"), "vit_base_patch32", SIZES),
    "timm_deit_tiny": (lambda: timm_vit("deit_tiny_patch16_224"), "deit_tiny", SIZES),
    "timm_deit_tiny_distilled": (
        lambda: timm_vit("deit_tiny_distilled_patch16_224"),
        "deit_tiny_distilled",
        SIZES,
    ),
    "timm_deit3_small": (lambda: timm_vit("deit3_small_patch16_224"), "deit3_small", SIZES),
    "timm_dinov2_small": (lambda: timm_vit("vit_small_patch14_dinov2"), "dinov2_small", SIZES),
    "timm_dinov2_small_registers": (
        lambda: timm_vit("vit_small_patch14_reg4_dinov2"),
        "dinov2_small_registers",
        SIZES,
    ),
    "timm_dinov3_small": (lambda: timm_vit("vit_small_patch16_dinov3"), "dinov3_small", SIZES),
    "timm_dinov3_small_bias": (lambda: timm_vit("vit_small_patch16_dinov3_qkvb"), "dinov3_small", SIZES),
    "timm_siglip_base": (lambda: timm_vit("vit_base_patch16_siglip_224"), "siglip_base_patch16_timm", SIZES),
    "timm_clip_base_patch32": (
        lambda: timm_vit("vit_base_patch32_clip_quickgelu_224"),
        "clip_base_patch32",
        SIZES,
    ),
    "timm_clip_base_patch16_gelu": (lambda: timm_vit("vit_base_patch16_clip_224"), "clip_base_patch16_gelu", SIZES),
    "facebook_dinov2_small_registers": (
        lambda: converted("vit_small_patch14_reg4_dinov2", lambda name: name.replace("reg_token", "register_tokens")),
        "dinov2_small_registers",
        SIZES,
    ),
    "facebook_dinov3_small": (
        lambda: converted(
            "vit_small_patch16_dinov3_qkvb",
            lambda name: re.sub(r"gamma_(\d)", r"ls\1.gamma", name.replace("reg_token", "storage_tokens")),
            r".*[qv]_bias",
        ),
        "dinov3_small",
        SIZES,
    ),
    "openai_clip_base_patch32": (
        lambda: converted("vit_base_patch32_clip_quickgelu_224", openai_name, "head"),
        "clip_base_patch32",
        SIZES,
    ),
    "transformers_vit_small": (
        lambda: transformers_model("ViT", HALF, **_SMALL, **_HIDDEN, **_NATIVE),
        "vit_small_patch16",
        NATIVE_SIZES,
    ),
    "transformers_deit_small_distilled": (_distilled, "deit_small_distilled", NATIVE_SIZES),
    "transformers_dinov2_small": (
        lambda: transformers_model("Dinov2", IMAGENET, **_SMALL, image_size=70, patch_size=14),
        "dinov2_small",
        ((70, 70), (75, 75), (83, 83)),
    ),
    "transformers_dinov2_registers": (
        lambda: transformers_model(
            "Dinov2WithRegisters", IMAGENET, **_SMALL, num_register_tokens=4, image_size=70, patch_size=14
        ),
        "dinov2_small_registers",
        ((70, 70), (75, 75), (83, 83)),
    ),
    "transformers_dinov3_small": (
        lambda: transformers_model("DINOv3ViT", IMAGENET, num_register_tokens=4),
        "dinov3_small",
        SIZES,
    ),
    "transformers_siglip_base": (
        lambda: transformers_model("Siglip", HALF, **_NATIVE),
        "siglip_base_patch16",
        NATIVE_SIZES,
    ),
    "transformers_clip_base_patch16": (
        lambda: transformers_model("CLIP", CLIP, **_NATIVE),
        "clip_base_patch16",
        NATIVE_SIZES,
    ),
    **{
        f"{library}_convnext_tiny": (lambda library=library: convnext(library), "convnexttiny", SIZES)
        for library in ("timm", "facebook", "transformers", "torchvision")
    },
    "torchvision_vit_base_patch32": (lambda: torchvision_vit("vit_b_32", 96), "vit_base_patch32_torch", ((96, 96),)),
}
