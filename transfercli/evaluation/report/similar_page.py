"""The page of `similar --report DIR`: images, and those most similar to each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transfercli.data.label_sets import LabelSet, labels_in
from transfercli.evaluation.report.html import jinja_environment
from transfercli.io.atomic import make_folder, write_bytes

PAGE = "index.html"
SHOWN = 100  # images that were asked for, with their neighbours, on one page


class _Labelled:
    """An image with a label and a prediction, each a class or, with `several`, the text of a label set; or None."""

    label: str | None
    predicted: str | None
    several: bool

    @property
    def shown_label(self) -> str | None:
        """The label for a person to read."""
        return self._shown(self.label)

    @property
    def shown_prediction(self) -> str | None:
        """The prediction for a person to read."""
        return self._shown(self.predicted)

    def _shown(self, text: str | None) -> str | None:
        return LabelSet.read(text).shown if self.several and text is not None else text


@dataclass(frozen=True, kw_only=True)
class MatchedImage(_Labelled):
    """An image that is similar to another.

    Attributes:
        similarity: cosine of the two vectors of features, 1 for equal ones.
        copy: `file` if the bytes are those of the other image, `pixels` if only the pixels are, or None.
        label, split: in the data of the run, or None.
        predicted, probability: by the run, or None.
        picture: `data:` URL, or "" if the file is gone.
        several: True if label and prediction are texts of label sets.
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
    picture: str = ""
    several: bool = False


@dataclass(frozen=True, kw_only=True)
class QueryImage(_Labelled):
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
    picture: str = ""
    several: bool = False

    def classes(self) -> list[tuple[str, int]]:
        """Return the classes of the neighbours, by label or else by prediction, the most frequent first.

        With several labels, a neighbour counts for each of its own.
        """
        texts = [match.label or match.predicted for match in self.neighbours]
        names = [name for text in texts if text for name in labels_in(text, several=self.several)]
        return Counter(names).most_common()


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
