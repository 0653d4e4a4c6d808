"""Nearest neighbours of embeddings by cosine similarity."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from transfercli.transfer.embeddings.embeddings import Embeddings

SIMILARITY_BYTES = 64 * 2**20  # of similarities in memory at once
DIGITS = 6  # of a similarity; images that differ by less are in the order of their paths, on every machine


def nearest(
    embeddings: Embeddings, queries: np.ndarray, most: int, left_out: Sequence[Collection[int]]
) -> list[list[tuple[int, float]]]:
    """Return for each query the rows most similar to it and their similarities, from 1 down to -1.

    Every row is compared: the result is exact. Rows that are equally similar are in their own order.

    Args:
        queries: float32 [Q, D].
        most: rows for each query.
        left_out: for each query, rows that are no neighbours of it.
    """
    found: list[list[tuple[int, float]]] = []
    at_once = max(1, SIMILARITY_BYTES // (8 * max(1, len(embeddings))))
    for start in range(0, len(queries), at_once):
        some = queries[start : start + at_once]
        similarities = np.concatenate([_cosines(some, block) for block in embeddings.blocks()], axis=1)
        for values, excluded in zip(similarities, left_out[start:], strict=False):
            values[[*excluded]] = -np.inf
            rows = np.argsort(-values, kind="stable")[: min(most, len(values) - len(excluded))]
            found.append([(int(row), float(values[row])) for row in rows])
    return found


def _cosines(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the cosine of each query [Q, D] and vector [n, D], float64 [Q, n] rounded; 0 with a vector of zeros."""
    return np.round(np.clip(_of_length_one(queries) @ _of_length_one(vectors).T, -1, 1), DIGITS) + 0.0


def _of_length_one(vectors: np.ndarray) -> np.ndarray:
    exact = vectors.astype("float64")
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    return exact / np.where(lengths > 0, lengths, 1)
