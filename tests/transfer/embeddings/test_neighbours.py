"""Nearest neighbours: those of scikit-learn, and the order of equal ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from transfercli.rows import ArrayRows
from transfercli.transfer.embeddings import embeddings as module
from transfercli.transfer.embeddings.embeddings import Embeddings, Origin
from transfercli.transfer.embeddings.neighbours import nearest


def made(vectors: np.ndarray) -> Embeddings:
    count, width = vectors.shape
    origin = Origin("n", "b", ("last",), (width,), "none")
    return Embeddings(origin, ArrayRows(vectors.astype("float32")), ("p",) * count, ("0",) * count)


def test_they_are_those_of_scikit_learn(digits: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 64 * 4 * 100)  # 100 images a block
    vectors, queries = digits.features[10:1000], digits.features[:10]
    found = nearest(made(vectors), queries, 5, [[]] * 10)
    distances, rows = NearestNeighbors(n_neighbors=5, metric="cosine").fit(vectors).kneighbors(queries)
    assert [[row for row, _ in one] for one in found] == rows.tolist()
    np.testing.assert_allclose([[value for _, value in one] for one in found], 1 - distances, atol=1e-6)


def test_equal_vectors_are_in_the_order_of_the_images_and_a_row_can_be_left_out(digits: Any) -> None:
    image, other = digits.features[0], digits.features[1]
    vectors = np.stack([other, image, image * 3, image, np.zeros_like(image)])
    (found,) = nearest(made(vectors), image[None], 9, [[1]])
    assert [row for row, _ in found] == [2, 3, 0, 4]
    assert [value for _, value in found][:2] == [1.0, 1.0]
    assert found[-1] == (4, 0.0)


def test_there_may_be_no_neighbour(digits: Any) -> None:
    assert nearest(made(digits.features[:1]), digits.features[:1], 3, [[0]]) == [[]]
