"""Vision transformers: the names of timm, Hugging Face transformers, torchvision, OpenAI's CLIP and of the authors.

LayerScale is multiplied into the layer before it, and the class token gets its position: both are sums and products of
tensors of the file, so the features stay the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from transfercli.models.weights.foreign.rules import Rule, convolution, dense, layer_norm, together
from transfercli.models.weights.foreign.scheme import Member, Scheme, Shape

WIDTHS = {"tiny": (192, 12), "small": (384, 12), "base": (768, 12), "large": (1024, 24)}
LETTERS = {"tiny": "Ti", "small": "S", "base": "B", "large": "L"}
ONLY_MASKED_TRAINING = "is used by masked training only"
POOLING_HEAD = "of the pooling by attention, which the base lacks: its tokens are averaged"
TO_TEXTS = "projects images to the space of texts"


def _fused(weight: str, bias: str) -> tuple[Rule, ...]:
    """Return the rules of queries, keys and values in one tensor. The patterns' first group is the block's number."""
    return tuple(
        Rule(pattern, part, f"block{{0:+1}}_{part}/{ours}")
        for part in ("query", "key", "value")
        for pattern, ours in ((weight, "kernel"), (bias, "bias"))
    )


def _scaled(pattern: str, layer: str) -> tuple[Rule, ...]:
    """Return the rules of a LayerScale after a layer of a block: it is part of the layer's kernel and bias here."""
    name = f"block{{0:+1}}_{layer}"
    return (
        Rule(pattern, "same", f"{name}/kernel", "times"),
        Rule(pattern, "same", f"{name}/bias", "times"),
    )


def _positions(pattern: str) -> tuple[Rule, ...]:
    """Return the rules of the positions of patches and, if it has any, of the tokens before them."""
    return (
        Rule(pattern, "positions", "positions/embeddings"),
        Rule(pattern, "class_position", "tokens/embeddings", "plus"),
        Rule(pattern, "register_positions", "registers/embeddings", "plus"),
    )


def _parts(block: str, parts: dict[str, str]) -> tuple[Rule, ...]:
    """Return the rules of a block's fully connected layers. parts: name in the file -> name of the layer here."""
    return together(*(dense(rf"{block}\.{theirs}", f"block{{0:+1}}_{ours}") for theirs, ours in parts.items()))


def _norms(block: str, first: str, second: str) -> tuple[Rule, ...]:
    return together(
        layer_norm(rf"{block}\.{first}", "block{0:+1}_norm1"), layer_norm(rf"{block}\.{second}", "block{0:+1}_norm2")
    )


_BLOCK = r"blocks\.(?:\d+\.)?(\d+)"  # DINOv2's training groups blocks, and numbers them through
TIMM_RULES = together(
    convolution(r"patch_embed\.proj", "patches"),
    (
        Rule("cls_token", "vectors", "tokens/embeddings"),
        Rule("reg_token|register_tokens|storage_tokens|dist_token", "vectors", "registers/embeddings"),
        Rule(rf"{_BLOCK}\.attn\.q_bias", "same", "block{0:+1}_query/bias"),
        Rule(rf"{_BLOCK}\.attn\.v_bias", "same", "block{0:+1}_value/bias"),
    ),
    _positions("pos_embed"),
    layer_norm("norm_pre", "norm_before"),
    _norms(_BLOCK, "norm1", "norm2"),
    _fused(rf"{_BLOCK}\.attn\.qkv\.weight", rf"{_BLOCK}\.attn\.qkv\.bias"),
    _parts(_BLOCK, {r"attn\.proj": "projection", r"mlp\.fc1": "hidden", r"mlp\.fc2": "output"}),
    _scaled(rf"{_BLOCK}\.(?:ls1\.gamma|gamma_1)", "projection"),
    _scaled(rf"{_BLOCK}\.(?:ls2\.gamma|gamma_2)", "output"),
    layer_norm("norm", "norm"),
)
TIMM_IGNORED = {
    "mask_token": ONLY_MASKED_TRAINING,
    r"attn_pool\..*": POOLING_HEAD,
    r"head_dist\..*": "of the classification head of the distillation token",
    r"rope_embed\.periods": "follows from the architecture",
    r".*\.qkv\.bias_mask": "masks the bias of the keys, which is zero",
    r"local_cls_norm\..*": "is used by the training only",
}

_HF_BLOCK = r"(?:model\.)?(?:encoder\.)?layers?\.(\d+)"
_HF_PATCHES = r"embeddings\.patch_embeddings"
HF_RULES = together(
    convolution(rf"{_HF_PATCHES}(?:\.projection)?", "patches"),
    (
        Rule(r"embeddings\.cls_token", "vectors", "tokens/embeddings"),
        Rule(r"embeddings\.(?:register_tokens|distillation_token)", "vectors", "registers/embeddings"),
    ),
    _positions(r"embeddings\.position_embeddings"),
    _norms(_HF_BLOCK, "(?:layernorm_before|norm1)", "(?:layernorm_after|norm2)"),
    _parts(
        _HF_BLOCK,
        {
            r"attention\.(?:attention\.query|q_proj)": "query",
            r"attention\.(?:attention\.key|k_proj)": "key",
            r"attention\.(?:attention\.value|v_proj)": "value",
            r"attention\.(?:output\.dense|o_proj)": "projection",
            r"(?:intermediate\.dense|mlp\.fc1|mlp\.up_proj)": "hidden",
            r"(?:output\.dense|mlp\.fc2|mlp\.down_proj)": "output",
        },
    ),
    _scaled(rf"{_HF_BLOCK}\.layer_scale1\.lambda1", "projection"),
    _scaled(rf"{_HF_BLOCK}\.layer_scale2\.lambda1", "output"),
    layer_norm("(?:layernorm|norm)", "norm"),
)
HF_IGNORED = {r"embeddings\.mask_token": ONLY_MASKED_TRAINING, r"pooler\..*": "of the pooler, which no classifier uses"}

_TOWER_BLOCK = r"encoder\.layers\.(\d+)"
TOWER_RULES = together(
    convolution(r"embeddings\.patch_embedding", "patches"),
    (Rule(r"embeddings\.class_embedding", "vectors", "tokens/embeddings"),),
    _positions(r"embeddings\.position_embedding\.weight"),
    layer_norm("pre_layrnorm", "norm_before"),
    _norms(_TOWER_BLOCK, "layer_norm1", "layer_norm2"),
    _parts(
        _TOWER_BLOCK,
        {
            r"self_attn\.q_proj": "query",
            r"self_attn\.k_proj": "key",
            r"self_attn\.v_proj": "value",
            r"self_attn\.out_proj": "projection",
            r"mlp\.fc1": "hidden",
            r"mlp\.fc2": "output",
        },
    ),
    layer_norm("post_layernorm", "norm"),
)

_OPENAI_BLOCK = r"transformer\.resblocks\.(\d+)"
OPENAI_RULES = together(
    convolution("conv1", "patches"),
    (Rule("class_embedding", "vectors", "tokens/embeddings"),),
    _positions("positional_embedding"),
    layer_norm("ln_pre", "norm_before"),
    _norms(_OPENAI_BLOCK, "ln_1", "ln_2"),
    _fused(rf"{_OPENAI_BLOCK}\.attn\.in_proj_weight", rf"{_OPENAI_BLOCK}\.attn\.in_proj_bias"),
    _parts(_OPENAI_BLOCK, {r"attn\.out_proj": "projection", r"mlp\.c_fc": "hidden", r"mlp\.c_proj": "output"}),
    layer_norm("ln_post", "norm"),
)

_TORCHVISION_BLOCK = r"encoder\.layers\.encoder_layer_(\d+)"
TORCHVISION_RULES = together(
    convolution("conv_proj", "patches"),
    (Rule("class_token", "vectors", "tokens/embeddings"),),
    _positions(r"encoder\.pos_embedding"),
    _norms(_TORCHVISION_BLOCK, "ln_1", "ln_2"),
    _fused(
        rf"{_TORCHVISION_BLOCK}\.self_attention\.in_proj_weight", rf"{_TORCHVISION_BLOCK}\.self_attention\.in_proj_bias"
    ),
    _parts(
        _TORCHVISION_BLOCK,
        {
            r"self_attention\.out_proj": "projection",
            r"mlp\.(?:0|linear_1)": "hidden",
            r"mlp\.(?:3|linear_2)": "output",
        },
    ),
    layer_norm(r"encoder\.ln", "norm"),
)


def _member(
    network: str, width: str, patch: tuple[str, int], block: str, has: dict[str, Shape], lacks: Iterable[str] = ()
) -> Member:
    """Return the marks of a network.

    network: its family; the letter of its size and the patch are added. patch: name of the kernel, and side in pixels.
    block: name of a vector of each block, with `{}` for the block's number. has: further marks; `-n` in a shape stands
    for n times the length of a token.
    """
    tokens, depth = WIDTHS[width]
    marks = {patch[0]: (-1, 3, patch[1], patch[1]), block.format(depth - 1): (-1,), **has}
    return Member(
        f"{network}-{LETTERS[width]}/{patch[1]}",
        {name: tuple(-side * tokens if side < 0 else side for side in shape) for name, shape in marks.items()},
        (block.format(depth), *lacks),
    )


_TIMM_PATCHES = "patch_embed.proj.weight"
_TIMM_NORM = "blocks.{}.norm2.weight"
_CLS: dict[str, Shape] = {"cls_token": (1, 1, -1)}
_SCALE: dict[str, Shape] = {"blocks.0.ls1.gamma": (-1,)}
_NO_SCALE = ("blocks.0.ls1.gamma", "blocks.0.gamma_1")
_NO_REGISTERS = ("reg_token", "register_tokens", "storage_tokens", "dist_token")
_PLAIN = (*_NO_SCALE, *_NO_REGISTERS, "norm_pre.weight")


def _timm(network: str, width: str, patch: int, has: dict[str, Shape], lacks: Iterable[str]) -> Member:
    return _member(network, width, (_TIMM_PATCHES, patch), _TIMM_NORM, has, lacks)


def _dinov2(network: str, width: str, block: str, has: dict[str, Shape], lacks: Iterable[str] = ()) -> Member:
    return _member(network, width, (_TIMM_PATCHES, 14), block, {**_CLS, **has}, lacks)


_CLIP_SIZES = (("base", 32), ("base", 16), ("large", 14))


def _clip(patches: str, block: str, has: dict[str, Shape]) -> dict[str, Member]:
    """Return the members of CLIP: names do not say which activation and preprocessing a file was trained with."""
    members = {
        f"clip_{width}_patch{patch}{suffix}": _member(f"CLIP ({note}) ViT", width, (patches, patch), block, has)
        for width, patch in _CLIP_SIZES
        for suffix, note in (("", "quick GELU, OpenAI"), ("_gelu", "GELU, OpenCLIP"))
    }
    laion2b = _member("CLIP (GELU, OpenCLIP's LAION-2B) ViT", "large", (patches, 14), block, has)
    return {**members, "clip_large_patch14_laion2b": laion2b}


TIMM = Scheme(
    "vit",
    "PyTorch names of a vision transformer (timm)",
    _TIMM_PATCHES,
    TIMM_RULES,
    {
        **{f"vit_{width}_patch16": _timm("ViT", width, 16, _CLS, _PLAIN) for width in WIDTHS},
        **{f"vit_{width}_patch32": _timm("ViT", width, 32, _CLS, _PLAIN) for width in ("small", "base")},
        "vit_base_patch8": _timm("ViT", "base", 8, _CLS, _PLAIN),
        **{f"deit_{width}": _timm("DeiT", width, 16, _CLS, _PLAIN) for width in ("tiny", "small", "base")},
        **{
            f"deit_{width}_distilled": _timm(
                "DeiT (distilled)", width, 16, {**_CLS, "dist_token": (1, 1, -1)}, ("norm_pre.weight",)
            )
            for width in ("tiny", "small", "base")
        },
        **{
            f"dino_{width}_patch{patch}": _timm("DINO ViT", width, patch, _CLS, _PLAIN)
            for width in ("small", "base")
            for patch in (16, 8)
        },
        **{
            f"deit3_{width}": _timm("DeiT-III", width, 16, {**_CLS, **_SCALE}, _NO_REGISTERS)
            for width in ("small", "base", "large")
        },
        **{
            f"dinov2_{width}": _dinov2("DINOv2 ViT", width, _TIMM_NORM, _SCALE, _NO_REGISTERS)
            for width in ("small", "base", "large")
        },
        **{
            f"dinov2_{width}_registers": _dinov2(
                "DINOv2 ViT with registers", width, _TIMM_NORM, {**_SCALE, "reg_token": (1, 4, -1)}
            )
            for width in ("small", "base", "large")
        },
        **{
            f"siglip_{width}_patch16_timm": _timm("SigLIP", width, 16, {}, ("cls_token", *_PLAIN))
            for width in ("base", "large")
        },
        **_clip(_TIMM_PATCHES, _TIMM_NORM, {"norm_pre.weight": (-1,)}),
    },
    head="head",
    ignored=TIMM_IGNORED,
)
FACEBOOK = Scheme(
    "vit_facebook",
    "PyTorch names of a vision transformer (facebookresearch)",
    _TIMM_PATCHES,
    TIMM_RULES,
    {
        **{
            f"deit3_{width}": _timm(
                "DeiT-III",
                width,
                16,
                {**_CLS, "blocks.0.gamma_1": (-1,), "blocks.0.attn.qkv.bias": (-3,)},
                _NO_REGISTERS,
            )
            for width in ("small", "base", "large")
        },
        **{
            f"dinov2_{width}_registers": _dinov2(
                "DINOv2 ViT with registers", width, _TIMM_NORM, {**_SCALE, "register_tokens": (1, 4, -1)}
            )
            for width in ("small", "base", "large")
        },
    },
    head="head",
    ignored=TIMM_IGNORED,
)
_CHUNKED_NORM = "blocks.3.{}.norm2.weight"  # four groups of blocks
_CHUNKED_SCALE: dict[str, Shape] = {"blocks.0.0.ls1.gamma": (-1,)}
DINOV2_TRAINING = Scheme(
    "dinov2_training",
    "PyTorch names of a DINOv2 checkpoint with groups of blocks",
    _TIMM_PATCHES,
    TIMM_RULES,
    {
        **{
            f"dinov2_{width}": _dinov2("DINOv2 ViT", width, _CHUNKED_NORM, _CHUNKED_SCALE, _NO_REGISTERS)
            for width in ("small", "base", "large")
        },
        **{
            f"dinov2_{width}_registers": _dinov2(
                "DINOv2 ViT with registers", width, _CHUNKED_NORM, {**_CHUNKED_SCALE, "register_tokens": (1, 4, -1)}
            )
            for width in ("small", "base", "large")
        },
    },
    ignored=TIMM_IGNORED,
)


def _dinov3(name: str, title: str, has: dict[str, Shape], lacks: Iterable[str], zeros: str | None = None) -> Scheme:
    return Scheme(
        name,
        title,
        _TIMM_PATCHES,
        TIMM_RULES,
        {
            f"dinov3_{width}": _timm("DINOv3 ViT", width, 16, {**_CLS, **has}, ("pos_embed", *lacks))
            for width in ("small", "base", "large")
        },
        head="head",
        ignored=TIMM_IGNORED,
        zeros=zeros,
    )


_TIMM_REGISTERS: dict[str, Shape] = {"reg_token": (1, 4, -1), "blocks.0.gamma_1": (-1,)}
DINOV3_TIMM = _dinov3(
    "dinov3",
    "PyTorch names of a DINOv3 vision transformer (timm)",
    _TIMM_REGISTERS,
    ("blocks.0.attn.q_bias", "blocks.0.attn.qkv.bias"),
    # timm leaves out the biases of queries and values, which are nearly zero
    r"block\d+_(?:query|value)/bias",
)
DINOV3_TIMM_BIAS = _dinov3(
    "dinov3_bias",
    "PyTorch names of a DINOv3 vision transformer (timm, with biases)",
    {**_TIMM_REGISTERS, "blocks.0.attn.q_bias": (-1,)},
    (),
)
DINOV3_FACEBOOK = _dinov3(
    "dinov3_facebook",
    "PyTorch names of a DINOv3 vision transformer (facebookresearch)",
    {"storage_tokens": (1, 4, -1), **_SCALE},
    (),
)

_HF_KERNEL = "embeddings.patch_embeddings.projection.weight"
_HF_CLS: dict[str, Shape] = {"embeddings.cls_token": (1, 1, -1)}
_HF_REGISTERS = "embeddings.register_tokens"


def _transformers(name: str, title: str, blocks: str, dinov3_blocks: str) -> Scheme:
    """Return a scheme of Hugging Face transformers. blocks, dinov3_blocks: before the number of a block."""

    def vit(network: str, width: str, patch: int, has: dict[str, Shape], lacks: Iterable[str] = ()) -> Member:
        vector = f"{blocks}.{{}}.layernorm_after.weight"
        return _member(network, width, (_HF_KERNEL, patch), vector, {**_HF_CLS, **has}, lacks)

    def dinov2(network: str, width: str, has: dict[str, Shape], lacks: Iterable[str] = ()) -> Member:
        vector = "encoder.layer.{}.norm2.weight"
        return _member(network, width, (_HF_KERNEL, 14), vector, {**_HF_CLS, **has}, lacks)

    distilled = "embeddings.distillation_token"
    return Scheme(
        name,
        title,
        "embeddings.cls_token",
        HF_RULES,
        {
            **{f"vit_{width}_patch16": vit("ViT", width, 16, {}, (distilled,)) for width in WIDTHS},
            **{f"vit_{width}_patch32": vit("ViT", width, 32, {}, (distilled,)) for width in ("small", "base")},
            "vit_base_patch8": vit("ViT", "base", 8, {}, (distilled,)),
            **{f"deit_{width}": vit("DeiT", width, 16, {}, (distilled,)) for width in ("tiny", "small", "base")},
            **{
                f"deit_{width}_distilled": vit("DeiT (distilled)", width, 16, {distilled: (1, 1, -1)})
                for width in ("tiny", "small", "base")
            },
            **{
                f"dino_{width}_patch{patch}": vit("DINO ViT", width, patch, {}, (distilled,))
                for width in ("small", "base")
                for patch in (16, 8)
            },
            **{
                f"dinov2_{width}": dinov2("DINOv2 ViT", width, {}, (_HF_REGISTERS,))
                for width in ("small", "base", "large")
            },
            **{
                f"dinov2_{width}_registers": dinov2("DINOv2 ViT with registers", width, {_HF_REGISTERS: (1, 4, -1)})
                for width in ("small", "base", "large")
            },
            **{
                f"dinov3_{width}": _member(
                    "DINOv3 ViT",
                    width,
                    ("embeddings.patch_embeddings.weight", 16),
                    f"{dinov3_blocks}.{{}}.norm2.weight",
                    {**_HF_CLS, _HF_REGISTERS: (1, 4, -1)},
                )
                for width in ("small", "base", "large")
            },
        },
        head="classifier",
        ignored=HF_IGNORED,
    )


TRANSFORMERS = _transformers(
    "vit_transformers", "names of a vision transformer (Hugging Face transformers)", "encoder.layer", "layer"
)
TRANSFORMERS_5 = _transformers(
    "vit_transformers_5", "names of a vision transformer (Hugging Face transformers 5)", "layers", "model.layer"
)
_TOWER_NORM = "encoder.layers.{}.layer_norm2.weight"
CLIP_TRANSFORMERS = Scheme(
    "clip_transformers",
    "names of CLIP's image tower (Hugging Face transformers)",
    "pre_layrnorm.weight",
    TOWER_RULES,
    _clip("embeddings.patch_embedding.weight", _TOWER_NORM, {}),
    head="classifier",
    ignored={r"embeddings\.position_ids": "follows from the architecture"},
)
SIGLIP_TRANSFORMERS = Scheme(
    "siglip_transformers",
    "names of SigLIP's image tower (Hugging Face transformers)",
    "embeddings.patch_embedding.bias",
    TOWER_RULES,
    {
        f"siglip_{width}_patch16": _member(
            "SigLIP", width, ("embeddings.patch_embedding.weight", 16), _TOWER_NORM, {}, ("pre_layrnorm.weight",)
        )
        for width in ("base", "large")
    },
    head="classifier",
    ignored={r"head\..*": POOLING_HEAD, r"embeddings\.position_ids": "follows from the architecture"},
)
CLIP_OPENAI = Scheme(
    "clip_openai",
    "names of CLIP's image tower (OpenAI, OpenCLIP)",
    "ln_pre.weight",
    OPENAI_RULES,
    _clip("conv1.weight", "transformer.resblocks.{}.ln_2.weight", {}),
    ignored={"proj": TO_TEXTS},
)
_TORCHVISION_NORM = "encoder.layers.encoder_layer_{}.ln_2.weight"
TORCHVISION = Scheme(
    "vit_torchvision",
    "PyTorch names of a vision transformer (torchvision)",
    "conv_proj.weight",
    TORCHVISION_RULES,
    {
        f"vit_{width}_patch{patch}_torch": _member("ViT", width, ("conv_proj.weight", patch), _TORCHVISION_NORM, {})
        for width, patch in (("base", 16), ("base", 32), ("large", 16))
    },
    head="heads.head",
)
SCHEMES = (
    TIMM,
    FACEBOOK,
    DINOV2_TRAINING,
    DINOV3_TIMM,
    DINOV3_TIMM_BIAS,
    DINOV3_FACEBOOK,
    TRANSFORMERS,
    TRANSFORMERS_5,
    CLIP_TRANSFORMERS,
    SIGLIP_TRANSFORMERS,
    CLIP_OPENAI,
    TORCHVISION,
)
