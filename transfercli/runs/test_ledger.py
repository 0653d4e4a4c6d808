"""Ledger of an experiment's test images, `test-ledger.csv`: the comparisons of models that each image took part in.

Each comparison spends a level, the chance of a false promotion (`evaluation.statistics.alpha_spending`), of a budget
that every image has. A comparison is written before any answer to a test image is looked at, and its decision is read
from the log, so a process that is killed at any time leaves no comparison out. A run that was promoted spent nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

from transfercli.errors import ArtefactError
from transfercli.io.atomic import write_text
from transfercli.runs.folder import RUN_ID, test_ledger_file


@dataclass(frozen=True, slots=True)
class LedgerImage:
    """A test image and its comparisons.

    Attributes:
        pixels: SHA-256 of its pixels.
        sha256: SHA-256 of its file, by which it is found if another version of the decoder gives other pixels.
        asked: number of comparisons.
        spent: sum of the levels of all comparisons before the last one, without promotions; at most 1.
        run: id of the last comparison's challenger, or "".
        level: level of the last comparison.
    """

    pixels: str
    sha256: str
    asked: int = 0
    spent: float = 0.0
    run: str = ""
    level: float = 0.0

    def total(self, promoted: Collection[str]) -> float:
        """Return the sum of the levels of all comparisons. promoted: ids of the runs that the log calls promoted."""
        return min(1.0, self.spent + (0.0 if self.run in promoted else self.level))

    def compared(self, run: str, level: float, promoted: Collection[str]) -> LedgerImage:
        """Return the image with a comparison of the challenger `run`; the same challenger again is not one more."""
        if self.run == run:
            return self
        return replace(self, asked=self.asked + 1, spent=self.total(promoted), run=run, level=level)


class TestLedger:
    """The images of a ledger."""

    __test__ = False  # not a class of tests for pytest

    def __init__(self, images: Iterable[LedgerImage] = ()) -> None:
        self._by_pixels = {image.pixels: image for image in images}
        self._by_file = {image.sha256: image for image in self._by_pixels.values()}

    @property
    def images(self) -> list[LedgerImage]:
        """All images, sorted by the hash of their pixels."""
        return [image for _, image in sorted(self._by_pixels.items())]

    def find(self, pixels: str, sha256: str) -> LedgerImage:
        """Return an image by its pixels, else by its file; an unknown one was never asked."""
        return self._by_pixels.get(pixels) or self._by_file.get(sha256) or LedgerImage(pixels, sha256)

    def with_images(self, images: Iterable[LedgerImage]) -> TestLedger:
        """Return the ledger with these images, in place of the entries with the same pixels."""
        return TestLedger((self._by_pixels | {image.pixels: image for image in images}).values())

    def write(self, experiment: Path) -> None:
        """Write the ledger atomically, sorted by the hash of the pixels."""
        rows = map(astuple, self.images)
        write_text(test_ledger_file(experiment), "".join(",".join(map(str, row)) + "\n" for row in (_COLUMNS, *rows)))


MOST_ASKED = 10**9  # no night has more comparisons before it

_COLUMNS = tuple(field.name for field in fields(LedgerImage))


def read_test_ledger(experiment: Path) -> TestLedger | None:
    """Read the ledger; None if the experiment has none. Raises `ArtefactError` if it is damaged."""
    path = test_ledger_file(experiment)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return TestLedger(_images(csv.reader(file, strict=True)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, csv.Error) as error:
        raise ArtefactError(
            f"{path} cannot be read: {error}",
            "restore it, or remove it: then every test image counts as one that took part in all logged comparisons",
        ) from error


def _images(rows: Iterator[list[str]]) -> Iterator[LedgerImage]:
    """Yield the images of the rows. Raises `ValueError` if a row is damaged."""
    if tuple(next(rows, ())) != _COLUMNS:
        raise ValueError(f"its columns are not {','.join(_COLUMNS)}")
    for number, row in enumerate(rows, 2):
        if len(row) != len(_COLUMNS):
            raise ValueError(f"row {number} has {len(row)} values")
        pixels, sha256, asked, spent, run, level = row
        image = LedgerImage(pixels, sha256, int(asked), float(spent), run, float(level))
        if not pixels or not 0 <= image.asked <= MOST_ASKED or not (0 <= image.spent <= 1 and 0 <= image.level <= 1):
            raise ValueError(f"row {number} is damaged")
        if run and not RUN_ID.fullmatch(run):
            raise ValueError(f"row {number} names the run {run!r}")
        yield image
