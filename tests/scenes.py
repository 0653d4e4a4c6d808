"""Small scenes of handwritten digits, whose labels are the digits in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

SPLITS = ("train", "train", "train", "validation", "test")


def write_scenes(
    folder: Path, rows: Sequence[int], labels: Sequence[int] = (0, 1, 2), keep: Callable[[int, int], bool] | None = None
) -> Path:
    """Write scenes of 32x32 pixels with up to two digits, and the table `labels.csv` of all so far; return the table.

    Scene `row` is the same in every call. keep: (row, digit) -> False for a digit that is not named as a label.
    """
    digits = load_digits()
    scans = {digit: digits.images[digits.target == digit] for digit in labels}
    table = folder / "labels.csv"
    folder.mkdir(parents=True, exist_ok=True)
    lines = table.read_text().splitlines() if table.exists() else ["path,labels,split"]
    for row in rows:
        rng = np.random.default_rng(row)
        scene, cells = rng.integers(0, 30, (32, 32)).astype(np.uint8), rng.permutation(4)
        shown = sorted(rng.choice(labels, size=rng.integers(0, 3), replace=False).tolist())
        for digit, cell in zip(shown, cells, strict=False):
            scan = scans[digit][rng.integers(len(scans[digit]))]
            top, left = divmod(int(cell), 2)
            scene[16 * top : 16 * top + 16, 16 * left : 16 * left + 16] = np.kron(scan * 15, np.ones((2, 2)))
        name = f"{row:04d}.png"
        Image.fromarray(scene).save(folder / name)
        named = [str(digit) for digit in shown if keep is None or keep(row, digit)]
        lines.append(f"{name},{';'.join(named)},{SPLITS[row % len(SPLITS)]}")
    table.write_text("\n".join(lines) + "\n")
    return table
