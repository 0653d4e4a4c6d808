"""Rows read by index: in memory, selected from others, and changed as they are read."""

from __future__ import annotations

import numpy as np

from transfercli.rows import ArrayRows, ChainedRows, SelectedRows, TransformedRows

ARRAY = np.arange(20, dtype=np.uint8).reshape(10, 2)


def test_rows_in_memory_are_read_as_a_copy() -> None:
    rows = ArrayRows(ARRAY.copy())
    assert len(rows) == 10
    found = rows.read(np.array([7, 7, 0]))
    assert found.dtype == np.uint8
    assert np.array_equal(found, ARRAY[[7, 7, 0]])
    found[:] = 0
    assert np.array_equal(rows.array, ARRAY)


def test_mapped_rows_are_read_into_memory(tmp_path) -> None:
    np.save(tmp_path / "rows.npy", ARRAY)
    found = ArrayRows(np.load(tmp_path / "rows.npy", mmap_mode="r", allow_pickle=False)).read(np.array([3, 1]))
    assert type(found) is np.ndarray
    assert np.array_equal(found, ARRAY[[3, 1]])


def test_selected_rows_are_those_of_the_selection_in_its_order_also_repeated() -> None:
    rows = SelectedRows(ArrayRows(ARRAY), np.array([9, 0, 0, 4]))
    assert len(rows) == 4
    assert np.array_equal(rows.read(np.array([3, 2, 0])), ARRAY[[4, 0, 9]])


def test_transformed_rows_are_changed_by_their_own_indices_and_only_as_they_are_read() -> None:
    calls: list[list[int]] = []

    def transform(rows: np.ndarray, indices: np.ndarray) -> np.ndarray:
        calls.append(indices.tolist())
        return rows + indices[:, None]

    rows = TransformedRows(SelectedRows(ArrayRows(ARRAY), np.array([5, 6])), transform)
    assert len(rows) == 2
    assert calls == []
    assert np.array_equal(rows.read(np.array([1, 0])), ARRAY[[6, 5]] + [[1], [0]])
    assert calls == [[1, 0]]


def test_chained_rows_are_those_of_the_first_part_before_those_of_the_next_in_any_order() -> None:
    rows = ChainedRows((ArrayRows(ARRAY[:3]), ArrayRows(ARRAY[3:4]), ArrayRows(ARRAY[4:])))
    assert len(rows) == 10
    for indices in ([9, 0, 3, 3, 2, 4], [1], [], list(range(10))):
        assert np.array_equal(rows.read(np.array(indices, np.int64)), ARRAY[np.array(indices, np.int64)])
