"""Multiplications of a forward pass, against counts by hand and published numbers."""

from __future__ import annotations

import pytest

from tests.models.transformers import tiny_transformer
from transfercli.models.bases import BASES


def test_those_of_a_convolutional_network_are_in_its_convolutions() -> None:
    from transfercli.models.multiplications import multiplications

    expected = 30 * 30 * 27 * 32 + 13 * 13 * 288 * 64 + 4 * 4 * 576 * 64
    assert multiplications(BASES["small_cnn"].build((32, 32, 3))) == expected


def test_those_of_a_transformer_include_the_two_products_of_attention() -> None:
    from transfercli.models.multiplications import multiplications

    patches, tokens, width = 16, 17, 24
    projections, hidden = 4 * tokens * width**2, 2 * tokens * width * 4 * width
    block = projections + hidden + 2 * tokens**2 * width
    expected = patches * 16 * 16 * 3 * width + 3 * block
    assert multiplications(tiny_transformer().build((64, 64, 3))) == expected


def test_those_of_a_published_transformer_are_the_published_ones() -> None:
    from transfercli.models.multiplications import multiplications

    count = multiplications(BASES["vit_small_patch16"].build((224, 224, 3)))
    # Touvron et al. 2021 ("DeiT"), table 5, and timm: 4.6 billion multiply-adds of DeiT-S, which has the same layers
    assert count / 1e9 == pytest.approx(4.6, abs=0.05)


def test_those_of_a_layer_of_attention_are_those_of_its_parts() -> None:
    import keras
    from keras import layers

    from transfercli.models.multiplications import multiplications

    tokens, memory = keras.Input((7, 12)), keras.Input((5, 10))
    output = layers.MultiHeadAttention(3, 4, value_dim=2)(tokens, memory)
    projections = 7 * 12 * 12 + 5 * 10 * 12 + 5 * 10 * 6 + 7 * 6 * 12
    products = 3 * 7 * 5 * (4 + 2)
    model = keras.Model([tokens, memory], output)
    assert multiplications(model) == projections + products
    nested = keras.Model([tokens, memory], layers.Activation("relu")(model([tokens, memory])))
    assert multiplications(nested) == projections + products


def test_those_of_an_equation_are_the_product_of_its_letters() -> None:
    import keras
    from keras import layers, ops

    from transfercli.models.multiplications import multiplications

    tokens = keras.Input((7, 12))
    heads = layers.EinsumDense("abc,cde->abde", (7, 3, 4))(tokens)
    scores = ops.einsum("abde,acde->adbc", heads, heads)
    assert multiplications(keras.Model(tokens, scores)) == 7 * 12 * 3 * 4 + 7 * 7 * 3 * 4
