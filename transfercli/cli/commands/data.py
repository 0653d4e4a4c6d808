"""Commands `transfercli data check`, `data features`, `data diff`, `data drift` and `data next`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transfercli.cli.choices import one_of
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_check, after_diff, after_drift, after_features, after_next
from transfercli.cli.options import RUNS, ConfigFile, MaxBad, OnEngine, Overrides, Part, Run, Runs, shard_of
from transfercli.cli.ui.tables import print_pairs, print_table, print_text
from transfercli.errors import DataError, GateError, UsageError
from transfercli.reporting import Reporter
from transfercli.text import byte_size, counted, images_per_split, in_groups, printable

if TYPE_CHECKING:
    from transfercli.data.quality.check import Problem, Report
    from transfercli.workflows.data.check import CheckResult, ShardCheck
    from transfercli.workflows.data.diff import DiffResult
    from transfercli.workflows.data.drift import DriftResult
    from transfercli.workflows.data.features import FeaturesResult
    from transfercli.workflows.data.next import NextResult

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Check images, fill the caches, choose images to label.",
)

SHOWN_ROWS, SHOWN_PATHS = 10, 3
VERDICTS = {"usable": "yes", "doubtful": "yes, but with doubts", "refused": "NO: training would refuse"}
# Tests of `data drift`, each with the measure that is shown.
TESTS = (("classifier", "accuracy"), ("mmd", "value"), ("class_mix", "total_variation"), ("confidence", "statistic"))

ReportFolder = Annotated[
    Path | None,
    typer.Option("--report", metavar="DIR", help="write an HTML page, a contact sheet per class and a CSV there"),
]
Mislabelled = Annotated[
    bool,
    typer.Option(
        "--mislabelled/--no-mislabelled",
        help="list likely label errors, by the features of a completed run of the experiment",
    ),
]
MislabelledShare = Annotated[
    float,
    typer.Option(
        "--mislabelled-share",
        metavar="X",
        min=0,
        max=1,
        help="list at most this share of the images as likely mislabelled",
    ),
]
Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="recent images, at any depth: a folder or its address", show_default=False)
]
Maximum = Annotated[
    float | None, typer.Option("--max", metavar="X", min=0, max=1, help="largest score allowed; exit 5 if it is higher")
]
Unlabelled = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="unlabelled images, at any depth: a folder or its address", show_default=False),
]
Budget = Annotated[
    int, typer.Option("--budget", metavar="N", min=1, help="number of images to choose", show_default=False)
]
BY = (
    "auto",
    "typical_margin",
    "diverse_margin",
    "typiclust",
    "probcover",
    "badge",
    "margin",
    "entropy",
    "kcentre",
    "random",
)
By = Annotated[
    str,
    typer.Option("--by", metavar="METHOD", help=f"one of {', '.join(BY)}", callback=one_of(lambda: BY)),
]
OutFolder = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="new folder for the files; default: labelling/EXPERIMENT-1, -2 …"),
]


def _parsed_target(text: str | None) -> float | None:
    """Return the accuracy of `accuracy=VALUE`. Raises `BadParameter` for any other text."""
    if text is None:
        return None
    name, _, value = text.partition("=")
    try:
        accuracy = float(value)
    except ValueError:
        accuracy = -1.0
    if name.strip() != "accuracy" or not 0 < accuracy < 1:
        raise typer.BadParameter(f"{text!r} must look like accuracy=0.9, with a value between 0 and 1")
    return accuracy


def _check_target(text: str | None) -> str | None:
    _parsed_target(text)
    return text


TargetAccuracy = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="accuracy=X",
        help="forecast the labels that this accuracy needs",
        callback=_check_target,
        show_default=False,
    ),
]


class DataRefused(DataError):
    """Error for data that training would refuse; carries the result of the check."""

    def __init__(self, result: CheckResult | ShardCheck) -> None:
        first, *others = result.report.refusals
        more = f" (and {len(others)} more reason{'s' * (len(others) > 1)})" if others else ""
        super().__init__(f"training would refuse: {first}{more}", result.report.hints[0] or None)
        self.result = result


class Drifted(GateError):
    """Error for a drift score above the maximum; carries the result."""

    def __init__(self, result: DriftResult) -> None:
        super().__init__(f"the images have drifted: the score is {result.score:.4f}, required <= {result.maximum:g}")
        self.result = result


def _counts(images: int, classes: int, report: Report) -> str:
    """Return the words for a number of images and of their classes or labels."""
    return f"{images} {'with' if report.several else 'in'} {classes} {report.nouns[classes != 1]}"


def _show_check(result: CheckResult | ShardCheck) -> None:
    from transfercli.data.quality.check import same_labels
    from transfercli.workflows.data.check import ShardCheck

    if isinstance(result, ShardCheck):
        _show_shard(result)
        return
    report, classes, splits = result.report, result.report.classes(), result.report.splits()
    doubtful, imbalance, transparency = report.mislabelled, report.imbalance(), report.transparency
    noun, nouns = report.nouns
    print_pairs(
        [
            ("usable", VERDICTS[report.verdict]),
            ("images", _counts(len(report.images), len(classes), report) if report.images else None),
            ("without a label", sum(not image.labels for image in report.images) or None),
            ("splits", images_per_split(splits, report.split_groups) or None),
            *((f"{name} images", count) for name, count in report.auxiliary.counts()["images"].items()),
            ("typical size", "x".join(map(str, result.typical_size or ())) or None),
            (f"largest to smallest {noun}", f"{imbalance:.1f} to 1" if imbalance else None),
            ("likely mislabelled", len(doubtful.suspects) if doubtful.run else None),
            ("transparent images", f"{transparency.images}, {transparency.policy}" if transparency.images else None),
            ("report", result.page),
        ]
    )
    for doubt in report.doubts():
        print_text(f"\ndoubt: {doubt}")
    if report.suggestion:
        print_text(f"\nsuggestion: {report.suggestion}")
    unknown = report.pairs.unknown if report.pairs else {}
    rows = [
        (
            label,
            count,
            *(report.counts[label].get(split, 0) for split in splits),
            *[unknown.get(label, 0)] * bool(unknown),
        )
        for label, count in classes.items()
    ]
    if rows:  # none if the list of images was refused
        print()
        print_table((noun, "images", *splits, *["unknown"] * bool(unknown)), rows)
    for reason in report.refusals:
        print_text(f"\ntraining would refuse: {printable(reason)}")
    for splits_without, labels in same_labels(report.missing, "or"):
        _print_first(f"{nouns} without {splits_without} images", (noun,), [(label,) for label in labels])
    for splits_of, labels in same_labels(report.constant, "and"):
        _print_first(f"{nouns} of all {splits_of} images", (noun,), [(label,) for label in labels])
    _show_pairs(report)
    _show_problems(report)
    _show_duplicates(report)
    unusual = [(report.images[row].path, report.images[row].width, report.images[row].height) for row in report.unusual]
    _print_first("unusual sizes", ("path", "width", "height"), unusual)
    _show_mislabelled(report)


def _show_shard(result: ShardCheck) -> None:
    report, classes = result.report, result.report.classes()
    print_pairs(
        [
            ("shard", result.shard),
            ("images", _counts(len(report.images), len(classes), report) if report.images else 0),
            ("decoded now", result.cache.misses),
            ("usable", "NO: training would refuse" if report.refusals else "shown by a check of all images"),
        ]
    )
    for reason in report.refusals:
        print_text(f"\ntraining would refuse: {printable(reason)}")
    _show_problems(report)
    _show_duplicates(report)


def _show_pairs(report: Report) -> None:
    """Print the pairs of labels that chance does not explain."""
    pairs = report.pairs.pairs if report.pairs else ()
    rows = [
        (pair.first, pair.kind, pair.second, pair.together, pair.first_images, pair.second_images) for pair in pairs
    ]
    header = ("label", "images", "other label", "together", "of", "and of")
    _print_first("pairs of labels that chance does not explain", header, rows)


def _show_problems(report: Report) -> None:
    """Print one row a kind of problem, with its first files."""
    rows = [
        (group.kind, len(group.problems), "used" if group.used else "left out", _first_paths(group.problems))
        for group in report.problem_groups()
    ]
    if rows:
        print(f"\nproblems: {len(report.problems)}")
        print_table(("problem", "files", "outcome", "first files"), rows)


def _first_paths(problems: Sequence[Problem]) -> str:
    paths = [problem.path for problem in problems[:SHOWN_PATHS]]
    return ", ".join([*paths, "…"] if len(problems) > SHOWN_PATHS else paths)


def _show_duplicates(report: Report) -> None:
    """Print one row a group of copies, with its first two images; groups that harm are named."""
    for name, pairs in (("duplicates", report.duplicates), ("near duplicates", report.near)):
        for title, shown in (
            (name, pairs),
            (f"{name} across splits", report.across_splits(pairs)),
            (f"{name} with other labels", report.across_labels(pairs)),
        ):
            rows = [(len(group), *(report.images[row].path for row in group[:2])) for group in report.groups(shown)]
            _print_first(f"groups of {title}", ("images", "path", "looks like"), rows)


def _show_mislabelled(report: Report) -> None:
    mislabelled = report.mislabelled
    rows = [
        (
            report.images[suspect.row].path,
            suspect.label or report.images[suspect.row].label,
            suspect.suggested,
            suspect.probability,
        )
        for suspect in mislabelled.suspects
    ]
    title = f"likely mislabelled, by the features of {mislabelled.run}"
    _print_first(title, ("path", "label", "suggested", "wrong with"), rows)
    for sentence in mislabelled.summary():
        print_text(f"{'' if rows else 'likely mislabelled: '}{sentence}")
    if mislabelled.note:
        print_text(f"\nlikely mislabelled: not searched for: {printable(mislabelled.note)}")


def _show_features(result: FeaturesResult) -> None:
    print_pairs(
        [
            ("folder", result.folder),
            ("shard", result.shard),
            ("images", result.images),
            ("unreadable", result.unreadable or None),
            *(
                (f"cached {name}", f"{counts['hits']} there, {counts['misses']} new, {byte_size(counts['bytes'])}")
                for name, counts in result.caches.items()
            ),
        ]
    )
    rows = [
        (one["layer"], " x ".join(map(str, one["shape"])), one["precision"], one["views"] or "")
        for one in result.passes
    ]
    if rows:
        print()
        print_table(("features after", "shape", "precision", "views"), rows)
    else:
        print_text("\nno features: the training reads none from the cache")


def _show_diff(result: DiffResult) -> None:
    difference = result.difference
    counts: dict[str, list[Any]] = {
        "added": difference.added,
        "removed": difference.removed,
        "changed": difference.changed,
        "relabelled": difference.relabelled,
        "moved": difference.moved,
        "renamed": difference.renamed,
        "new classes": difference.new_classes,
        "lost classes": difference.lost_classes,
    }
    pairs: list[tuple[str, Any]] = [(name, len(items) or None) for name, items in counts.items()]
    for split, part in difference.auxiliary.items():
        changes = ", ".join(f"{len(paths)} {kind}" for kind, paths in part.image_lists.items() if paths)
        pairs.append((f"{split} images", changes or None))
    print_pairs([("unchanged", "yes" if difference.unchanged else "no"), ("same", difference.same), *pairs])
    for name in ("added", "removed", "changed"):
        _print_first(name, ("path",), [(path,) for path in counts[name]])
    _print_first("relabelled", ("path", "former label", "label"), difference.label_changes)
    _print_first("moved to another split", ("path",), [(path,) for path in difference.moved])
    _print_first("renamed", ("former path", "path"), difference.renamed)
    for name in ("new classes", "lost classes"):
        _print_first(name, ("class",), [(label,) for label in counts[name]])


def _show_drift(result: DriftResult) -> None:
    references = (("features", result.features), ("predictions", result.predictions))
    outcome = "" if result.passed else ": NOT MET"
    bound = "" if result.maximum is None else f", required <= {result.maximum:g}{outcome}"
    print_pairs(
        [
            ("run", result.run),
            ("images", f"{result.images}, {result.compared} of them compared{in_groups(result.groups)}"),
            ("drifted", "yes" if result.drifted else "no"),
            ("score", f"{result.score:.4f}{bound}"),
            *(
                (f"{name} compared with", f"{images.images} {images.split} images{in_groups(images.groups)}")
                for name, images in references
            ),
        ]
    )
    print()
    rows = [(name, measure, result.tests[name][measure], result.tests[name]["p_value"]) for name, measure in TESTS]
    print_table(("test", "measure", "value", "p"), rows)


def _show_next(result: NextResult) -> None:
    from transfercli.workflows.data.label_forecast import accuracy_in_words, gain_in_words, target_in_words

    left_out = ", ".join(f"{count} {reason}" for reason, count in result.left_out.items() if count)
    forecast = result.forecast
    print_pairs(
        [
            ("run", f"{result.run}, with {counted(result.labels, 'label')}"),
            ("images", f"{result.images}" + (f"; left out: {left_out}" if left_out else "")),
            ("chosen", f"{len(result.chosen)} by {result.by}"),
            ("forecast", gain_in_words(forecast.gain) if forecast.gain else "none"),
            ("files", result.out),
            ("then", "sort the links in to-sort by class, and add them to the images that you train on:"),
            ("", f"cp -rL {shlex.quote(str(result.out / 'to-sort'))}/. FOLDER"),
        ]
    )
    rows = [(image.rank, image.path, image.guess, image.probability, image.reason) for image in result.chosen]
    _print_first("images to label", ("rank", "path", "guess", "probability", "reason"), rows)
    print()
    if accuracy := accuracy_in_words(forecast):
        print_text(accuracy)
    if forecast.gains:
        points = [
            (gain.labels, *(100 * value for value in (gain.gain, gain.low, gain.high))) for gain in forecast.gains
        ]
        print_table(
            ("more labels", "points", "from", "to"),
            [(labels, *(f"{value:+.1f}" for value in values)) for labels, *values in points],
        )
        print_text(f"for images chosen at random; the intervals hold the truth in {forecast.level:.0%} of cases")
    for sentence in (target_in_words(forecast.target), forecast.note):
        if sentence:
            print_text(sentence)


def _print_first(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a title with the number of rows, and the first `SHOWN_ROWS` of them; nothing if there are none."""
    if not rows:
        return
    print(f"\n{title}: {len(rows)}")
    print_table(header, rows[:SHOWN_ROWS])
    if len(rows) > SHOWN_ROWS:
        print(f"… and {len(rows) - SHOWN_ROWS} more; --json lists all")


@app.command()
@reports(_show_check, after_check)
def check(
    reporter: Reporter,
    config: ConfigFile,
    overrides: Overrides = None,
    runs: Runs = RUNS,
    report: ReportFolder = None,
    mislabelled: Mislabelled = True,
    share: MislabelledShare = 0.05,
    shard: Part = None,
) -> CheckResult | ShardCheck:
    """Check all images of a config and report problems.

    --shard 1/4 reads one of four parts into the cache, for a job each; a last check without it finds all images there.

    Exit 4 if training would refuse the data.

    Example: transfercli data check flowers.yaml --report checked
    """
    from transfercli.workflows.data.check import CheckRequest, check_data

    part = shard_of(shard)
    request = CheckRequest(config, runs, tuple(overrides or ()), report, mislabelled, share, part)
    result = check_data(request, reporter)
    if not result.report.usable:
        raise DataRefused(result)
    return result


@app.command()
@reports(_show_features, after_features)
def features(
    reporter: Reporter,
    config: ConfigFile,
    overrides: Overrides = None,
    shard: Part = None,
    engine: OnEngine = "local",
    runs: Runs = RUNS,
) -> FeaturesResult:
    """Fill the caches with what finetune will read.

    --shard 1/4 does one of four parts, for a job each, in a cache of its own or a common one; `cache merge` joins them.

    Example: transfercli data features flowers.yaml
    """
    from transfercli.workflows.data.features import FeaturesRequest, fill_features
    from transfercli.workflows.data.features_on_ray import fill_features_on_ray

    if engine != "local" and shard is not None:
        raise UsageError(f"--engine {engine} divides the work itself, so --shard cannot", "leave one of them out")
    part = shard_of(shard)
    fill = {"local": fill_features, "ray": fill_features_on_ray}[engine]
    return fill(FeaturesRequest(config, runs, tuple(overrides or ()), part), reporter)


@app.command()
@reports(_show_diff, after_diff)
def diff(
    reporter: Reporter, config: ConfigFile, run: Run, overrides: Overrides = None, runs: Runs = RUNS
) -> DiffResult:
    """Show how the images changed since a run.

    Lists added, removed, changed and relabelled images, and new and lost classes.

    Example: transfercli data diff flowers.yaml flowers@champion
    """
    from transfercli.workflows.data.diff import DiffRequest, diff_data

    return diff_data(DiffRequest(config, run, runs, tuple(overrides or ())), reporter)


@app.command()
@reports(_show_drift, after_drift)
def drift(
    reporter: Reporter,
    run: Run,
    folder: Folder,
    maximum: Maximum = None,
    max_bad: MaxBad = None,
    runs: Runs = RUNS,
) -> DriftResult:
    """Measure how far unlabelled images are from those of a run.

    Compares features, predictions and confidence. The score is from 0 to 1. Exit 5 if it is above --max.

    Example: transfercli data drift flowers@champion camera/today --max 0.3
    """
    from transfercli.workflows.data.drift import DriftRequest, data_drift

    result = data_drift(DriftRequest(run, folder, runs, maximum, max_bad), reporter)
    if not result.passed:
        raise Drifted(result)
    return result


@app.command("next")
@reports(_show_next, after_next)
def next_images(
    reporter: Reporter,
    run: Run,
    folder: Unlabelled,
    budget: Budget,
    by: By = "auto",
    target: TargetAccuracy = None,
    out: OutFolder = None,
    max_bad: MaxBad = None,
    runs: Runs = RUNS,
) -> NextResult:
    """Choose the images to label next, and forecast what they buy.

    Writes a table to fill in, a page of thumbnails, and folders of links by guessed class, for sorting.

    Example: transfercli data next flowers@champion camera/today --budget 100
    """
    from transfercli.workflows.data.next import NextRequest, data_next

    request = NextRequest(run, folder, runs, budget, by, _parsed_target(target), out, max_bad)
    return data_next(request, reporter)
