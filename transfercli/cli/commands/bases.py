"""Command `transfercli bases list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli import completion
from transfercli.cli.choices import one_of
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_bases
from transfercli.cli.ui.tables import print_table
from transfercli.config import registries
from transfercli.reporting import Reporter
from transfercli.text import byte_size

if TYPE_CHECKING:
    from transfercli.workflows.bases.bases import BaseList

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List the bases that a model can start from.")

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="BASE",
        help="only these bases",
        show_default=False,
        callback=one_of(lambda: registries.names("base"), lambda text: registries.row_name("base", text)),
        autocompletion=completion.table_names("base"),
    ),
]
Measure = Annotated[bool, typer.Option("--measure", help="also time each base on this machine, some seconds for each")]


def _show(result: BaseList) -> None:
    measured = any(base.images_per_second is not None for base in result.bases)
    speed = ("images/s",) if measured else ()
    print_table(
        ("base", "family", "pixels", "M weights", "MB", "ImageNet %", *speed, "file", "trains here", "licence"),
        [
            (
                base.name,
                base.family,
                base.image_size,
                f"{base.parameters / 1e6:.1f}",
                f"{base.bytes / 1e6:.1f}",
                f"{100 * base.imagenet_top1:.1f}" if base.imagenet_top1 else "-",
                *((f"{base.images_per_second:.1f}",) if measured else ()),
                base.weights,
                base.fits,
                base.licence.removeprefix("ImageNet weights of "),
            )
            for base in result.bases
        ],
        droppable=("family", "licence", "MB"),
    )
    print(
        "\nImageNet %: published top-1 accuracy with these weights (--json has the source of each)"
        "\nfile: here (in Keras's cache), download (a training does it), none (no weights are published)"
        f"\ntrains here: what {byte_size(result.memory)} of memory hold; a large batch needs more (--dry-run counts it)"
    )


@app.command("list")
@reports(_show, after_bases)
def list_(reporter: Reporter, names: Names = None, measure: Measure = False) -> BaseList:
    """List all bases with their size, accuracy, licence, and what fits this machine.

    Example: transfercli bases list resnet50 efficientnetb0 --measure
    """
    from transfercli.workflows.bases.bases import list_bases

    return list_bases(names or (), measure, reporter)
