"""Images with transparent pixels in a data set: their number, and what was done with their opacity."""

from __future__ import annotations

from dataclasses import dataclass

from transfercli.data.image import FLAT, NO_BACKGROUND, TRANSPARENT
from transfercli.data.validation import Findings
from transfercli.text import counted


@dataclass(frozen=True, slots=True)
class Transparency:
    """Number of images with transparent pixels.

    Attributes:
        flat: number of these images that are of one colour as they are read.
        background: `#rrggbb` that the pixels are laid on, or `NO_BACKGROUND`.
    """

    images: int = 0
    flat: int = 0
    background: str = NO_BACKGROUND

    @property
    def policy(self) -> str:
        """Treatment of the opacity, in words."""
        if self.background == NO_BACKGROUND:
            return "read without their opacity"
        return f"laid on the background {self.background}"

    @property
    def advice(self) -> str:
        if not self.flat:
            return "to choose another colour, set data.background"
        verb = "is" if self.flat == 1 else "are"
        return f"{self.flat} of them {verb} of one colour then: set data.background to a colour that they do not have"

    def __str__(self) -> str:
        return f"{counted(self.images, 'image')} with transparent pixels, {self.policy}; {self.advice}"


def transparency(findings: Findings) -> Transparency:
    """Return the transparency of the usable images."""
    notes = findings.note_counts
    return Transparency(notes[TRANSPARENT], notes[FLAT], findings.reading.geometry.background)


def report_transparency(findings: Findings, *, chosen: bool) -> None:
    """Report images with transparent pixels: as a warning unless the config chose the background and none is flat."""
    found, reporter = transparency(findings), findings.reading.reporter
    if found.images:
        (reporter.info if chosen and not found.flat else reporter.warning)(str(found))
