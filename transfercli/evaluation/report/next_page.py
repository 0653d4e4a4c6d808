"""The HTML page of `data next`: thumbnails of the images to label, by guessed class, and what labels would buy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from transfercli.evaluation.report.html import jinja_environment
from transfercli.evaluation.report.thumbnails import image_data_url
from transfercli.rows import Rows

PICTURES = 2000  # on the page; the table has all images


class ImageToLabel(Protocol):
    """Image with its rank, from 1, its most probable class, and the reason for its choice in words."""

    @property
    def path(self) -> str: ...
    @property
    def rank(self) -> int: ...
    @property
    def guess(self) -> str: ...
    @property
    def probability(self) -> float: ...
    @property
    def reason(self) -> str: ...


def render_page(chosen: Sequence[ImageToLabel], images: Rows, table: str, links: str, facts: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        chosen: the images, in the order of `images`, which are uint8 [H, W, 3] each.
        table: name of the table beside the page.
        links: name of the folder of links beside the page.
        facts: `run`; `images`, the number in the folder, and `left_out`, by reason; `method`; `gains`, a sentence for
            each number of labels; `accuracy` and `target`, a sentence or None; `note` on the forecast, or "".
    """
    by_guess: dict[str, list[tuple[ImageToLabel, str]]] = {}
    for row, image in enumerate(chosen[:PICTURES]):  # one at a time, to keep little in memory
        by_guess.setdefault(image.guess, []).append((image, image_data_url(images.read(np.array([row]))[0])))
    template = jinja_environment().get_template("next.html.j2")
    text: str = template.render(
        classes=sorted(by_guess.items()),
        count=len(chosen),
        shown=min(len(chosen), PICTURES),
        table=table,
        links=links,
        **facts,
    )
    return text
