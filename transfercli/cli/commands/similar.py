"""Command `transfercli similar`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transfercli.cli.choices import LayersRead, Normalisation
from transfercli.cli.command import reports
from transfercli.cli.commands.embed import RunOrBase, Weights
from transfercli.cli.next_steps import after_similar
from transfercli.cli.options import IMAGE_PATHS, RUNS, Runs
from transfercli.cli.ui.tables import print_pairs, print_table
from transfercli.reporting import Reporter

if TYPE_CHECKING:
    from transfercli.evaluation.report.similar_page import QueryImage
    from transfercli.workflows.embed.similar import SimilarResult

Images = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGE",
        help=IMAGE_PATHS,
        show_default=False,
    ),
]
Within = Annotated[
    str | None,
    typer.Option(
        "--in",
        metavar="DIR|FILE",
        help="search the images of this folder, at any depth, or a file that embed wrote; without it the training"
        " images of the run",
        show_default=False,
    ),
]
Top = Annotated[int, typer.Option("--top", metavar="K", min=1, help="number of similar images")]
Layers = Annotated[
    LayersRead | None,
    typer.Option("--layers", help="as of embed; default: last, or those of the file", show_default=False),
]
Normalise = Annotated[
    Normalisation | None,
    typer.Option("--normalise", help="as of embed; default: length, or that of the file", show_default=False),
]
ReportFolder = Annotated[
    Path | None, typer.Option("--report", metavar="DIR", help="write an offline HTML page with the images there")
]
COPIES = {"file": "same bytes", "pixels": "same pixels"}


def _show(result: SimilarResult) -> None:
    print_pairs(
        [
            ("run", result.run),
            ("base", result.base),
            ("searched", f"{result.searched} images in {result.within or 'the data that the run learnt from'}"),
            ("report", result.page),
        ]
    )
    for image in result.images:
        _show_image(image)


def _show_image(image: QueryImage) -> None:
    print()
    print_pairs(
        [
            ("image", image.path),
            ("label", image.shown_label),
            ("predicted", image.predicted and f"{image.shown_prediction}, {image.probability:.1%}"),
            ("itself", "left out of the images that were searched" if image.itself else None),
        ]
    )
    if not image.neighbours:
        print("there is no other image")
        return
    columns: dict[str, list[Any]] = {
        "rank": [match.rank for match in image.neighbours],
        "similarity": [match.similarity for match in image.neighbours],
        "label": [match.shown_label for match in image.neighbours],
        "predicted": [match.shown_prediction for match in image.neighbours],
        "copy": [match.copy and COPIES[match.copy] for match in image.neighbours],
        "path": [match.path for match in image.neighbours],
    }
    filled = {name: cells for name, cells in columns.items() if any(cell is not None for cell in cells)}
    print_table([*filled], [*zip(*filled.values(), strict=True)], droppable=("copy", "predicted"))


@reports(_show, after_similar)
def similar(
    reporter: Reporter,
    network: RunOrBase,
    images: Images,
    within: Within = None,
    top: Top = 10,
    weights: Weights = None,
    layers: Layers = None,
    normalise: Normalise = None,
    report: ReportFolder = None,
    runs: Runs = RUNS,
) -> SimilarResult:
    """Find the images most like others, by features of a run.

    Without --in, the images that the run learnt from: those that a prediction may rest on. All images are compared.

    Example: transfercli similar flowers@champion strange.jpg --report alike
    """
    from transfercli.workflows.embed.similar import SimilarRequest, find_similar

    request = SimilarRequest(network, runs, tuple(images), within, top, weights, layers, normalise, report)
    return find_similar(request, reporter)
