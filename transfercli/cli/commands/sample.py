"""Command `transfercli sample`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli import completion
from transfercli.cli.choices import one_of
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_sample
from transfercli.cli.ui.tables import print_pairs
from transfercli.reporting import Reporter

if TYPE_CHECKING:
    from transfercli.workflows.data.sample import SampleResult


def _names() -> Iterable[str]:
    from transfercli.data.samples.writing import SAMPLES

    return SAMPLES


def _show(result: SampleResult) -> None:
    counts = ", ".join(f"{count} {split}" for split, count in result.images.items())
    print_pairs([("sample", result.sample), ("path", result.path), ("images", counts)])


@reports(_show, after_sample)
def sample(
    reporter: Reporter,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="digits, digits-source (0 to 4), digits-target (5 to 9), digits-faint (on grey paper) or digits-scenes"
            " (several labels per image)",
            callback=one_of(_names),
            autocompletion=completion.sample_names,
        ),
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="new folder for the images")],
    images: Annotated[
        int | None,
        typer.Option("--images", metavar="N", help="number of images of digits-scenes (1000)", show_default=False),
    ] = None,
) -> SampleResult:
    """Write a folder of real images to try the program on.

    The images are part of an installed library, so no network is needed. digits-scenes is a table labels.csv with the
    digits in each scene, and a config that trains on them.

    Example: transfercli sample digits data/digits
    """
    from transfercli.workflows.data.sample import sample as write

    return write(name, folder, images)
