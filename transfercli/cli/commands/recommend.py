"""Command `transfercli recommend`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_recommendation
from transfercli.cli.options import RUNS, ConfigFile, Overrides, Runs
from transfercli.cli.ui.tables import print_table, print_text
from transfercli.reporting import Reporter
from transfercli.text import counted, in_groups, printable

if TYPE_CHECKING:
    from transfercli.workflows.recommend.result import BaseRow, Recommendation


def _words(text: str | None) -> str | None:
    """Return a list `A,B,C`; refuse one with an empty place."""
    if text is not None and not all(word.strip() for word in text.split(",")):
        raise typer.BadParameter(f"{text!r} must be names with commas between them, such as vgg16,resnet50")
    return text


def _sizes(text: str | None) -> str | None:
    if text is not None and not all(word.strip().isdecimal() and int(word) for word in text.split(",")):
        raise typer.BadParameter(f"{text!r} must be numbers of pixels with commas between them, such as 96,160")
    return text


Bases = Annotated[
    str | None,
    typer.Option(
        "--bases",
        metavar="A,B,…",
        help="bases to compare, also weight files, hub:OWNER/NAME and runs such as EXPERIMENT@champion; default: all"
        " whose published weights are on this machine, and that of the config",
        show_default=False,
        callback=_words,
    ),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        "--weights",
        metavar="BASE=FILE",
        help="compare this base with the weights of a file, or of hub:OWNER/NAME; repeatable",
        show_default=False,
    ),
]
Images = Annotated[
    int, typer.Option("--images", metavar="N", min=4, help="compare on at most N training and validation images")
]
ImageSizes = Annotated[
    str | None,
    typer.Option(
        "--image-sizes",
        metavar="N,M,…",
        help="compare each base at each of these sizes in pixels; default: the config's, or the base's own",
        show_default=False,
        callback=_sizes,
    ),
]
Picture = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE.png", help="draw accuracy by time there", show_default=False),
]


def _show(result: Recommendation) -> None:
    print_table(
        ("base", "px", "accuracy (95%)", "log loss", "difference", "ms", "MB", "marks", "weights"),
        [_cells(row, result.best) for row in result.measured],
        droppable=("weights", "MB"),
    )
    images = f"{counted(result.images, 'training and validation image')}{in_groups(result.groups)}"
    print_text(
        "\n*: recommended, p: no other is as accurate and as fast, =: not told apart from the best by these images"
        f"\n{images}, each predicted by a linear head on several layers that never saw it"
        "\ndifference: of the log loss from the best, on the same images, and its standard error"
        "\nms: of one image on this machine, without a head; MB: of the weights as float32"
    )
    for row in result.rows:
        if row.problem:
            print_text(f"\nnot compared: {printable(row.name)}: {printable(row.problem)}")
    print_text(f"\n{_sentence(result)}")
    print(f"in the config: {', '.join(result.recommended.settings) or 'as it is'}")
    if result.picture:
        print(f"picture: {result.picture}")


def _cells(row: BaseRow, best: BaseRow) -> tuple[object, ...]:
    assert row.rank
    assert row.cost
    low, high = row.rank.accuracy_interval
    difference = row.rank.difference
    return (
        row.name,
        _pixels(row),
        f"{row.rank.accuracy:.3f} {low:.3f}-{high:.3f}",
        f"{row.rank.log_loss:.3f}",
        "best" if row is best else f"{difference.log_loss:+.3f}±{difference.log_loss_error:.3f}",
        f"{1000 * row.cost.seconds:.1f}",
        f"{row.cost.bytes / 1e6:.3g}",
        "*" * row.rank.recommended + "p" * row.rank.pareto + "=" * row.rank.tied,
        row.weights,
    )


def _pixels(row: BaseRow) -> str:
    """Return `224` for square images, `160x224` for others."""
    return "x".join(map(str, dict.fromkeys(row.image_size or ())))


def _sentence(result: Recommendation) -> str:
    """Return the recommendation with its reason."""
    chosen, best = result.recommended, result.best
    several = len({row.image_size for row in result.measured}) > 1
    name, best_name = (f"{row.name} at {_pixels(row)} pixels" if several else row.name for row in (chosen, best))
    if len(result.measured) == 1:
        return f"{name} is the only base that was compared"
    if chosen is not best and chosen.rank:
        points = f"{100 * chosen.rank.difference.accuracy:+.1f} points"
        return f"{name} is recommended: cheaper than {best_name}, and as good within the margin ({points})"
    tied = any(row.rank and row.rank.tied for row in result.measured if row is not best)
    reason = f"{name} is recommended: it has the least log loss"
    if not tied:
        return reason
    more = "more of them may do (--images)" if result.left_out else "more labelled images may do: all are used"
    return f"{reason}; these images do not tell it apart from others, which {more}"


@reports(_show, after_recommendation)
def recommend(
    reporter: Reporter,
    config: ConfigFile,
    bases: Bases = None,
    weights: Weights = None,
    images: Images = 500,
    image_sizes: ImageSizes = None,
    picture: Picture = None,
    overrides: Overrides = None,
    runs: Runs = RUNS,
) -> Recommendation:
    """Recommend a base for your images, by accuracy and cost.

    Each base's features are computed once and kept for later trainings; a linear head on several layers is
    cross-validated on them. Test images are not used.

    Example: transfercli recommend flowers.yaml --bases resnet50,efficientnetb0,flowers@champion -o bases.png
    """
    from transfercli.workflows.recommend.candidates import CandidateRequest
    from transfercli.workflows.recommend.recommend import RecommendRequest, recommend_base

    compared = CandidateRequest(
        tuple(word.strip() for word in (bases or "").split(",") if word),
        tuple(weights or ()),
        tuple(int(word) for word in (image_sizes or "").split(",") if word),
    )
    request = RecommendRequest(config, runs, tuple(overrides or ()), compared, images, picture)
    return recommend_base(request, reporter)
