"""The page of `similar --report DIR`: images, and those most similar to each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transfercli.evaluation.report.html import jinja_environment
from transfercli.io.atomic import make_folder, write_bytes

PAGE = "index.html"
SHOWN = 100  # images that were asked for, with their neighbours, on one page


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedImage:
    """An image that is similar to another.

    Attributes:
        similarity: cosine of the two vectors of features, 1 for equal ones.
        copy: `file` if the bytes are those of the other image, `pixels` if only the pixels are, or None.
        label, split: in the data of the run, or None.
        predicted, probability: by the run, or None.
        labels, predicted_labels: of label and prediction if an image may have several; else None.
        picture: `data:` URL, or "" if the file is gone.
    """

    rank: int
    path: str
    sha256: str
    similarity: float
    copy: str | None = None
    label: str | None = None
    split: str | None = None
    predicted: str | None = None
    probability: float | None = None
    labels: tuple[str, ...] | None = None
    predicted_labels: tuple[str, ...] | None = None
    picture: str = ""

    def names(self) -> tuple[str, ...]:
        """Return its class or labels, as given or else predicted."""
        if self.labels is not None or self.predicted_labels is not None:
            return self.predicted_labels or () if self.labels is None else self.labels
        name = self.label or self.predicted
        return (name,) if name else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryImage:
    """An image, and those that are similar to it, the nearest first.

    itself: True if the searched images hold it; it is none of its neighbours. Others as in `MatchedImage`.
    """

    path: str
    sha256: str
    itself: bool
    neighbours: tuple[MatchedImage, ...]
    label: str | None = None
    split: str | None = None
    predicted: str | None = None
    probability: float | None = None
    labels: tuple[str, ...] | None = None
    predicted_labels: tuple[str, ...] | None = None
    picture: str = ""

    def classes(self) -> list[tuple[str, int]]:
        """Return the classes or labels of the neighbours, as given or else predicted, the most frequent first."""
        return Counter(name for match in self.neighbours for name in match.names()).most_common()


def write_page(
    folder: Path, network: str, within: str, searched: int, images: Sequence[QueryImage], reproduce: str
) -> Path:
    """Write index.html into a folder, which is made, and return its path.

    Args:
        network: name of the run or base.
        within: description of the images that were searched, and searched: their number.
        reproduce: the command line that finds the same images.
    """
    page = (
        jinja_environment()
        .get_template("similar.html.j2")
        .render(
            network=network,
            within=within,
            searched=searched,
            images=images[:SHOWN],
            all=len(images),
            reproduce=reproduce,
        )
    )
    make_folder(folder)
    write_bytes(folder / PAGE, page.encode("utf-8", "replace"))
    return folder / PAGE
