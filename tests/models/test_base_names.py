"""Names of the bases in other libraries."""

from __future__ import annotations

from dataclasses import replace

import pytest

from transfercli.models.base_names import bases_named
from transfercli.models.bases import BASES
from transfercli.models.published_weights import PublishedRepository

KERAS, TORCH = ("resnet50",), ("resnet50_torch",)


@pytest.mark.parametrize(
    "text, bases",
    [
        ("resnet50", KERAS),
        ("ResNet-50", KERAS),
        ("keras.applications.ResNet50", KERAS),
        ("tf.keras.applications.resnet50.ResNet50", KERAS),
        ("keras/resnet50", KERAS),
        ("resnet50.a1_in1k", TORCH),
        ("timm/resnet50.tv2_in1k", TORCH),
        ("timm/resnet50", TORCH),
        ("hf_hub:timm/resnet50.a1_in1k", TORCH),
        ("https://huggingface.co/timm/resnet50.a1_in1k", TORCH),
        ("tv_resnet50", TORCH),
        ("torchvision resnet50", TORCH),
        ("torchvision.models.resnet50", TORCH),
        ("ResNet50_Weights.IMAGENET1K_V2", TORCH),
        ("microsoft/resnet-50", TORCH),
        ("timm/resnet18.a1_in1k", ("resnet18",)),
        ("microsoft/resnet-34", ("resnet34",)),
        ("keras/resnet18", ()),
        ("EfficientNet-B0", ("efficientnetb0",)),
        ("mobilenet_v2", ("mobilenetv2",)),
        ("convnext_tiny", ("convnexttiny",)),
        ("densenet121", ("densenet121",)),
        ("vit_small_patch16_224", ("vit_small_patch16",)),
        ("vit_small_patch16_384.augreg_in21k_ft_in1k", ("vit_small_patch16",)),
        ("WinKawaks/vit-small-patch16-224", ()),
        ("ViT-S/16", ("vit_small_patch16",)),
        ("vit_small_patch14_dinov2.lvd142m", ("dinov2_small",)),
        ("facebook/dinov2-small", ("dinov2_small",)),
        ("dinov2_vits14", ("dinov2_small",)),
        ("dinov2-vit-s/14", ("dinov2_small",)),
        ("MobileNetV2", ("mobilenetv2",)),
        ("MobileNetV4", ("mobilenetv4_conv_small", "mobilenetv4_conv_medium", "mobilenetv4_conv_large")),
        ("mobilenetv4_hybrid_medium", ()),
        ("timm/tf_efficientnet_b0.in1k", ("efficientnetb0",)),
        ("timm/efficientnet_b0", ("efficientnetb0_torch",)),
        ("timm/efficientnet_b5.sw_in12k_ft_in1k", ("efficientnetb5_timm",)),
        ("torchvision.models.efficientnet_b5", ("efficientnetb5_torch",)),
        ("google/efficientnet-b0", ("efficientnetb0",)),
        ("timm/tf_efficientnet_b0.ap_in1k", ()),  # AdvProp's weights: pixels of -1 to 1
        ("google/mobilenet_v2_1.0_224", ("mobilenetv2",)),
        ("mobilenetv2_100", ("mobilenetv2_torch",)),
        ("mobilenetv3_large_100.ra_in1k", ("mobilenetv3large_timm",)),
        ("tf_mobilenetv3_large_100.in1k", ("mobilenetv3large",)),
        ("torchvision mobilenet_v3_large", ("mobilenetv3large_torch",)),
        ("mobilenet_v3_small", ("mobilenetv3small",)),
        ("Inception", ("inceptionv3", "inceptionresnetv2")),
        ("NASNet", ("nasnetmobile", "nasnetlarge")),
        # Networks that no base is, though their names are near.
        ("resnet50d", ()),
        ("resnet50d.ra2_in1k", ()),
        ("timm/xception.tf_in1k", ()),
        ("timm/resnet50_clip.openai", ()),
        ("vit_small_patch14_reg4_unknown", ()),
        ("resnet50.safetensors", ()),
        ("timm/", ()),
        ("timm", ()),
        ("_", ()),
        ("224", ()),
    ],
)
def test_a_name_of_another_library_means_the_row_of_its_network(text: str, bases: tuple[str, ...]) -> None:
    assert bases_named(text) == bases


# Names whose rows have their own spelling; a row that is not in the table is not found.
@pytest.mark.parametrize(
    "text, base",
    [
        ("resnext50_32x4d", "resnext50"),
        ("timm/resnext101_32x8d.tv2_in1k", "resnext101"),
        ("resnext101_64x4d", "resnext101_64x4d"),
        ("wide_resnet50_2", "wide_resnet50"),
        ("vgg16_bn", "vgg16_bn"),
        ("torchvision vgg16", "vgg16_torch"),
        ("timm/vgg16.tv_in1k", "vgg16_torch"),
        ("tf_efficientnet_lite0", "efficientnet_lite0_timm"),
        ("tf_efficientnet_lite0.in1k", "efficientnet_lite0_timm"),
        ("efficientnet_lite0.ra_in1k", "efficientnet_lite0_torch"),
        ("torchvision efficientnet_b0", "efficientnetb0_torch"),
        ("torchvision mobilenet_v3_small", "mobilenetv3small_torch"),
        ("mobilenetv3_large_100", "mobilenetv3large_timm"),
        ("timm/mobilenetv3_large_100.ra_in1k", "mobilenetv3large_timm"),
        ("mobilenetv2_100", "mobilenetv2_torch"),
        ("mobilenetv2_100.ra_in1k", "mobilenetv2_torch"),
        ("google/efficientnet-b0", "efficientnetb0"),
        ("timm/efficientnet_b0", "efficientnetb0_torch"),
        ("tf_efficientnet_b0", "efficientnetb0"),
        ("vit_base_patch16_224", "vit_base_patch16"),
        ("google/vit-base-patch16-224", "vit_base_patch16"),
        ("google/vit-base-patch16-224-in21k", "vit_base_patch16"),
        ("ViT-B/16", "vit_base_patch16"),
        ("vit_b_16", "vit_base_patch16_torch"),
        ("torchvision vit_b_32", "vit_base_patch32_torch"),
        ("facebook/deit-small-patch16-224", "deit_small"),
        ("deit_small_patch16_224.fb_in1k", "deit_small"),
        ("deit_base_distilled_patch16_384", "deit_base_distilled"),
        ("facebook/deit-base-distilled-patch16-224", "deit_base_distilled"),
        ("deit3_small_patch16_224", "deit3_small"),
        ("facebook/dinov2-with-registers-base", "dinov2_base_registers"),
        ("dinov2_vitb14_reg", "dinov2_base_registers"),
        ("vit_base_patch14_reg4_dinov2.lvd142m", "dinov2_base_registers"),
        ("facebook/dinov2-base", "dinov2_base"),
        ("vit_base_patch16_224.dino", "dino_base_patch16"),
        ("facebook/dino-vitb8", "dino_base_patch8"),
        ("vit_small_patch16_dinov3.lvd1689m", "dinov3_small"),
        ("facebook/dinov3-vits16-pretrain-lvd1689m", "dinov3_small"),
        ("openai/clip-vit-base-patch32", "clip_base_patch32"),
        ("openai/clip-vit-large-patch14", "clip_large_patch14"),
        ("vit_base_patch32_clip_224.metaclip_400m", "clip_base_patch32_gelu"),
        ("vit_base_patch32_clip_quickgelu_224.openai", "clip_base_patch32"),
        ("google/siglip-base-patch16-224", "siglip_base_patch16"),
        ("vit_base_patch16_siglip_224.webli", "siglip_base_patch16_timm"),
    ],
)
def test_spellings_unlike_the_table_s_are_found(text: str, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if base not in BASES:
        monkeypatch.setitem(BASES, base, BASES["resnet34"])
    assert bases_named(text) == (base,)


def test_the_repository_of_a_row_is_a_name_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = PublishedRepository("someone/my-net.v1", None, "a table", "MIT")
    monkeypatch.setitem(BASES, "resnet34", replace(BASES["resnet34"], repository=weights))
    assert bases_named("Someone/my-net.v1") == ("resnet34",)


def test_a_tag_that_no_row_has_means_the_network_of_the_repositories(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = PublishedRepository("timm/odd_net_224.ra_in1k", None, "a table", "MIT")
    monkeypatch.setitem(BASES, "resnet34", replace(BASES["resnet34"], repository=weights))
    assert bases_named("odd_net.a9_in22k") == bases_named("timm/odd_net_384") == ("resnet34",)


def test_the_start_of_several_names_is_ambiguous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BASES, "vit_small_patch32", BASES["vit_small_patch16"])
    assert bases_named("ViT small") == ("vit_small_patch16", "vit_small_patch32")
