"""Command `transfercli embed`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli import completion
from transfercli.cli.choices import LayersRead, Normalisation
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_embed
from transfercli.cli.options import IMAGE_PATHS, RUNS, Runs
from transfercli.cli.ui.tables import print_pairs
from transfercli.reporting import Reporter

if TYPE_CHECKING:
    from transfercli.workflows.embed.embed import EmbedResult

RunOrBase = Annotated[
    str,
    typer.Argument(
        metavar="RUN|BASE",
        help="a run folder, EXPERIMENT, EXPERIMENT/RUN_ID, EXPERIMENT@champion, or a base with published weights",
        show_default=False,
        autocompletion=completion.runs,
    ),
]
Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH",
        help=IMAGE_PATHS,
        show_default=False,
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="the file to write: .npz (NumPy), .safetensors, or .parquet (pip install 'transfercli[parquet]')",
        show_default=False,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="imagenet|FILE|hub:REPO",
        help="weights of a base; without it those of the run, or the published ones",
        show_default=False,
    ),
]
Layers = Annotated[
    LayersRead,
    typer.Option(
        "--layers",
        help="the base's last layer, or all layers that the head reads, side by side; of a base, its upper stages",
    ),
]
Normalise = Annotated[
    Normalisation,
    typer.Option(
        "--normalise",
        help="of each layer's vector: to unit length, by the signed square root and then to unit length, or not at all",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="exit 4 if any image could not be read, not only if all")]


def _show(result: EmbedResult) -> None:
    origin = result.origin
    computed, known = result.cached["misses"], result.cached["hits"]
    layers = "" if len(origin.layers) == 1 else f" of {', '.join(origin.layers)}"
    print_pairs(
        [
            ("run", result.run),
            ("base", result.base),
            ("file", result.file),
            ("images", result.images),
            ("width", f"{origin.width}{layers}"),
            ("normalised", {"none": "no", "root": "square root, then length"}.get(origin.normalise, origin.normalise)),
            ("features", f"{computed} computed, {known} from the cache" if computed or known else None),
            ("unreadable", len(result.unreadable) or None),
        ]
    )


@reports(_show, after_embed)
def embed(
    reporter: Reporter,
    network: RunOrBase,
    paths: Paths,
    output: Output,
    weights: Weights = None,
    layers: Layers = "last",
    normalise: Normalise = "length",
    strict: Strict = False,
    runs: Runs = RUNS,
) -> EmbedResult:
    """Write features of images as vectors, for search or clusters.

    The features are those that the run's head reads. Exit 4 if no image could be read, with --strict if any could not.

    Example: transfercli embed flowers@champion photos -o photos.npz
    """
    from transfercli.workflows.embed.embed import EmbedRequest
    from transfercli.workflows.embed.embed import embed as write

    request = EmbedRequest(network, runs, tuple(paths), output, weights, layers, normalise, strict)
    return write(request, reporter)
