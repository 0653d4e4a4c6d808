"""Command `transfercli weights check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli.choices import table_option
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_weights
from transfercli.cli.ui.tables import print_pairs, print_table
from transfercli.reporting import Reporter
from transfercli.text import byte_size, first_of

if TYPE_CHECKING:
    from transfercli.workflows.weights.check import WeightCheck

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look into weight files.")

Target = Annotated[
    str,
    typer.Argument(
        metavar="FILE|hub:REPO",
        help="a .safetensors, .weights.h5 or _notop.h5 file, or hub:OWNER/NAME[@REVISION][/FILE] of the Hugging Face"
        " Hub, which is fetched if its cache lacks it",
        show_default=False,
    ),
]
BaseName = Annotated[
    str | None,
    table_option(
        "--base", "base", metavar="BASE", help="check against this base; without it, the one that the file's names show"
    ),
]


def _show(result: WeightCheck) -> None:
    hub, head = result.hub, result.head
    print_pairs(
        [
            ("file", result.file),
            ("repository", hub and f"{hub['repository']}@{hub['revision']} ({hub['asked']})"),
            ("format", f"{result.file_format}, {', '.join(f'{n} {dtype}' for dtype, n in result.dtypes.items())}"),
            ("size", byte_size(result.bytes)),
            ("sha256", result.sha256),
            ("licence", result.licence or ("not in the repository's card" if hub else None)),
            ("network", result.names),
            ("prefix", result.prefix or None),
            ("bases that fit", ", ".join(result.bases) or "not known"),
            ("head", head and _head(head["classes"], head["labels"])),
            ("tensors", f"{result.count('copied')} copied, {result.count('unused')} unused" if result.base else None),
            *(("problem", problem) for problem in result.problems),
        ]
    )
    print()
    print_table(
        ("in the file", "here", "shape", "type", "action", "reason"),
        [
            (
                tensor.name or "-",
                tensor.weight or "-",
                "x".join(map(str, tensor.shape)) if tensor.shape else "-",
                tensor.dtype or "-",
                tensor.action,
                tensor.reason,
            )
            for tensor in result.tensors
        ],
        droppable=("type", "reason"),
    )


def _head(classes: int, labels: list[str]) -> str:
    return f"{classes} classes, {first_of(labels, 5) if labels else 'without names'}"


@app.command("check")
@reports(_show, after_weights)
def check(reporter: Reporter, target: Target, base: BaseName = None) -> WeightCheck:
    """Check a weight file: the network, the bases that fit, and what becomes of each tensor, without training.

    Example: transfercli weights check hub:timm/resnet18.a1_in1k
    """
    from transfercli.workflows.weights.check import check_weights_of

    return check_weights_of(target, base, reporter)
