"""Vision transformers and ConvNeXts: how files of other libraries are known, and how their tensors are laid out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.models.weights.foreign.made_weights import made_tensor
from transfercli.errors import ArtefactError
from transfercli.models.bases import BASES
from transfercli.models.networks.transformer import Transformer
from transfercli.models.networks.vision_transformer import vision_transformer
from transfercli.models.tensor_names import weight_names
from transfercli.models.weights.foreign.layouts import LAYOUTS, Target, resampled
from transfercli.models.weights.foreign.mapping import Mapped, map_tensors
from transfercli.models.weights.foreign.recognition import recognise

FIXTURES = Path(__file__).parent / "fixtures"
Shapes = dict[str, tuple[int, ...]]


def shapes_of(fixture: str) -> Shapes:
    content = json.loads((FIXTURES / f"{fixture}.json").read_text())
    return {name: tuple(shape) for name, shape in content["shapes"].items()}


SMALL_16 = ("vit_small_patch16", "deit_small", "dino_small_patch16")  # one network, three ways of training
BASES_OF = {
    "timm_vit_tiny": ("vit_tiny_patch16", "deit_tiny"),
    "timm_vit_small": SMALL_16,
    "timm_vit_base_patch32": ("vit_base_patch32",),
    "timm_deit_tiny_distilled": ("deit_tiny_distilled",),
    "timm_deit3_small": ("deit3_small",),
    "timm_dinov2_small": ("dinov2_small",),
    "timm_dinov2_small_registers": ("dinov2_small_registers",),
    "timm_dinov3_small": ("dinov3_small",),
    "timm_dinov3_small_bias": ("dinov3_small",),
    "timm_siglip_base": ("siglip_base_patch16_timm",),
    "timm_clip_base_patch32": ("clip_base_patch32", "clip_base_patch32_gelu"),
    "facebook_dinov2_small_registers": ("dinov2_small_registers",),
    "facebook_dinov3_small": ("dinov3_small",),
    "openai_clip_base_patch32": ("clip_base_patch32", "clip_base_patch32_gelu"),
    "transformers_vit_small": SMALL_16,
    "transformers_deit_small_distilled": ("deit_small_distilled",),
    "transformers_dinov2_small": ("dinov2_small",),
    "transformers_dinov2_registers": ("dinov2_small_registers",),
    "transformers_dinov3_small": ("dinov3_small",),
    "transformers_siglip_base": ("siglip_base_patch16",),
    "transformers_clip_base_patch16": ("clip_base_patch16", "clip_base_patch16_gelu"),
    "torchvision_vit_base_patch32": ("vit_base_patch32_torch",),
    "timm_convnext_tiny": ("convnexttiny",),
    "facebook_convnext_tiny": ("convnexttiny",),
    "transformers_convnext_tiny": ("convnexttiny",),
    "torchvision_convnext_tiny": ("convnexttiny",),
}


@pytest.mark.parametrize("fixture, bases", BASES_OF.items(), ids=BASES_OF)
def test_names_and_shapes_choose_the_base(fixture: str, bases: tuple[str, ...]) -> None:
    found = recognise(shapes_of(fixture))
    assert found is not None
    assert found.bases == bases


@pytest.mark.parametrize("prefix", ["module.", "teacher.backbone.", "model.encoder.", "visual.trunk."])
def test_a_prefix_is_found(prefix: str) -> None:
    shapes = {prefix + name: shape for name, shape in shapes_of("timm_vit_tiny").items()}
    found = recognise(shapes | {"teacher.head.mlp.0.weight": (64, 192)})
    assert found is not None
    assert (found.prefix, found.bases) == (prefix, BASES_OF["timm_vit_tiny"])


def test_blocks_in_groups_as_the_training_of_dinov2_writes_them() -> None:
    """Four groups of three blocks, numbered through: `blocks.3.11`."""
    grouped = {
        re.sub(r"blocks\.(\d+)", lambda match: f"blocks.{int(match[1]) // 3}.{match[1]}", name): shape
        for name, shape in shapes_of("timm_dinov2_small").items()
    }
    found = recognise(grouped | {"mask_token": (1, 384)})
    assert found is not None
    assert found.bases == ("dinov2_small",)


def test_a_network_of_another_depth_or_without_its_last_block_is_none_of_the_bases() -> None:
    shapes = shapes_of("timm_vit_small")
    half = {name: shape for name, shape in shapes.items() if not name.startswith("blocks.11.")}
    deeper = shapes | {"blocks.12.norm2.weight": (384,)}
    for one in (half, deeper):
        found = recognise(one)
        assert found is not None
        assert found.bases == ()


def mapped(tensors: dict[str, np.ndarray], base: str) -> Mapped:
    """Map tensors to a base for images of 32 pixels."""
    found = recognise({name: value.shape for name, value in tensors.items()})
    assert found is not None
    return map_tensors(tensors, found, base, weights_of(base))


@cache
def weights_of(base: str) -> dict[str, Target]:
    model = BASES[base].build((32, 32, 3))
    names, grid = weight_names("base", model), BASES[base].grid((32, 32))
    return {names[id(v)]: Target(tuple(v.shape), grid) for layer in model.layers for v in layer.weights}


@pytest.fixture(scope="module")
def tiny() -> dict[str, np.ndarray]:
    return {name: made_tensor(name, shape) for name, shape in shapes_of("timm_vit_tiny").items()}


def transformers_names(
    tensors: dict[str, np.ndarray], block: str, rename: Callable[[str], str]
) -> dict[str, np.ndarray]:
    """Return tensors of timm's ViT with the names of Hugging Face transformers. block: before a block's number."""
    result = {}
    for name, value in tensors.items():
        name = name.replace("patch_embed.proj", "vit.embeddings.patch_embeddings.projection")
        name = name.replace("cls_token", "vit.embeddings.cls_token").replace("head.", "classifier.")
        name = name.replace("pos_embed", "vit.embeddings.position_embeddings").replace("blocks.", f"vit.{block}.")
        name = re.sub(r"^norm\.", "vit.layernorm.", name)
        name = name.replace("norm1", "layernorm_before").replace("norm2", "layernorm_after")
        if ".attn.qkv." in name:
            for part, third in zip(("query", "key", "value"), np.split(value, 3), strict=True):
                result[rename(name.replace("attn.qkv", part))] = third
        else:
            result[rename(name)] = value
    return result


def old_names(name: str) -> str:
    name = re.sub(r"\.(query|key|value)\.", r".attention.attention.\1.", name)
    return (
        name.replace("attn.proj", "attention.output.dense")
        .replace("mlp.fc1", "intermediate.dense")
        .replace("mlp.fc2", "output.dense")
    )


def new_names(name: str) -> str:
    name = re.sub(r"\.(query|key|value)\.", lambda match: f".attention.{match[1][0]}_proj.", name)
    return name.replace("attn.proj", "attention.o_proj")


@pytest.mark.parametrize("block, rename", [("encoder.layer", old_names), ("layers", new_names)], ids=["4", "5"])
def test_old_and_new_names_of_transformers_give_the_tensors_of_timm(
    tiny: dict[str, np.ndarray], block: str, rename: Callable[[str], str]
) -> None:
    expected = mapped(tiny, "vit_tiny_patch16")
    result = mapped(transformers_names(tiny, block, rename), "vit_tiny_patch16")
    assert result.tensors.keys() == expected.tensors.keys()
    assert all(np.array_equal(value, expected.tensors[name]) for name, value in result.tensors.items())
    assert result.head is not None
    assert np.array_equal(result.head[0], tiny["head.weight"].T)
    assert set(result.unused) == {"classifier.weight", "classifier.bias"}


def test_a_missing_tensor_of_a_block_is_refused(tiny: dict[str, np.ndarray]) -> None:
    part = {name: value for name, value in tiny.items() if name != "blocks.5.attn.proj.bias"}
    with pytest.raises(ArtefactError, match="block6_projection/bias"):
        mapped(part, "vit_tiny_patch16")


def test_the_class_token_has_its_position_and_registers_may_have_theirs() -> None:
    vectors = np.arange(1, 22, dtype="float32").reshape(1, 21, 1)  # five tokens, and a grid of 4 x 4
    target = Target((4, 1), (4, 4))
    assert LAYOUTS["class_position"](vectors, Target((1, 1))).ravel().tolist() == [1]
    assert LAYOUTS["register_positions"](vectors, target).ravel().tolist() == [2, 3, 4, 5]
    assert LAYOUTS["positions"](vectors, Target((16, 1), (4, 4))).ravel().tolist() == list(range(6, 22))
    only_class = vectors[:, 4:]
    assert LAYOUTS["register_positions"](only_class, target).ravel().tolist() == [0, 0, 0, 0]
    assert LAYOUTS["class_position"](vectors[:, 5:], Target((1, 1))).ravel().tolist() == [0]


def test_positions_of_a_grid_that_is_no_square_are_refused() -> None:
    with pytest.raises(ArtefactError, match="141 positions of patches are no square grid"):
        LAYOUTS["positions"](np.zeros((1, 141, 8), "float32"), Target((140, 8), (10, 14)))


@pytest.mark.parametrize(
    "grid, expected",
    [
        ((7, 9), [0.007073, 0.127047, 0.008891, -0.026849, -0.033357]),
        ((3, 4), [-0.02235, 0.132497, -0.001462, -0.085908, -0.03581]),
        ((14, 5), [-0.004492, -0.119491, -0.141181, 0.077239, -0.021682]),
        ((37, 37), [0.012084, -0.068753, 0.008891, 0.011823, -0.036436]),
    ],
)
def test_positions_are_resampled_as_timm_does(grid: tuple[int, int], expected: list[float]) -> None:
    """Numbers of timm 1.0.31's `resample_abs_pos_embed`, for larger, smaller and oblong grids."""
    result = resampled(made_tensor("positions", (1, 25, 3)).reshape(5, 5, 3), grid)
    assert result.shape == (grid[0] * grid[1], 3)
    places = np.linspace(0, result.size - 1, 5).astype(int)
    assert result.ravel()[places] == pytest.approx(expected, abs=2e-6)


ARCHITECTURES = {
    "vit": Transformer(16, 24, 2, 3),
    "registers": Transformer(14, 24, 2, 3, registers=4),
    "dinov3": Transformer(16, 24, 2, 3, registers=4, positions="rotary", epsilon=1e-5),
    "siglip": Transformer(16, 24, 2, 3, class_token=False, activation="gelu_tanh"),
    "clip": Transformer(16, 24, 2, 3, pre_norm=True, activation="quick_gelu", epsilon=1e-5),
}


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_architecture_has_its_parameters_and_is_rebuilt_from_its_config(kind: str) -> None:
    architecture = ARCHITECTURES[kind]
    model = vision_transformer(input_shape=(48, 48, 3), name="net", architecture=architecture)
    assert model.count_params() == architecture.parameters(48)
    assert model.output.shape == (None, architecture.prefix_tokens + 9, 24)
    rebuilt = keras.Model.from_config(json.loads(json.dumps(model.get_config())))
    rebuilt.set_weights(model.get_weights())
    images = np.random.default_rng(0).normal(size=(2, 48, 48, 3)).astype("float32")
    assert np.array_equal(rebuilt(images), model(images))


def test_rotary_positions_distinguish_places() -> None:
    """Without positions, exchanging two patches exchanges their tokens and nothing else."""
    model = vision_transformer(input_shape=(32, 48, 3), name="net", architecture=ARCHITECTURES["dinov3"])
    image = np.random.default_rng(0).normal(size=(1, 32, 48, 3)).astype("float32")
    exchanged = image.copy()
    exchanged[:, :16, :16], exchanged[:, 16:, 32:] = image[:, 16:, 32:], image[:, :16, :16]
    before, after = np.asarray(model(image))[0], np.asarray(model(exchanged))[0]
    assert np.abs(before[5] - after[10]).max() > 1e-4
    assert np.abs(before[0] - after[0]).max() > 1e-6


def test_licences_that_are_not_free_are_said() -> None:
    for name in ("dinov3_small", "dinov3_base", "dinov3_large"):
        assert "not free" in BASES[name].licence
        assert BASES[name].licence_id == "other"


def test_published_tokens_and_poolings() -> None:
    rows = {name: (row.prefix_tokens, row.pooling) for name, row in BASES.items() if row.patch}
    assert rows["vit_small_patch16"] == (1, "token")
    assert rows["deit_tiny_distilled"] == (2, "token")
    assert rows["dinov2_base_registers"] == rows["dinov3_base"] == (5, "token")
    assert rows["siglip_base_patch16"] == (0, "avg")
    assert rows["clip_large_patch14"] == (1, "token")
