"""Command `transfercli bases list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli import completion
from transfercli.cli.choices import one_of, row_of
from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_bases
from transfercli.cli.ui.tables import print_table, print_text
from transfercli.config import registries
from transfercli.reporting import Reporter
from transfercli.text import byte_size, counted

if TYPE_CHECKING:
    from transfercli.workflows.bases.bases import BaseList

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List the bases that a model can start from.")

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="BASE",
        help="only these bases",
        show_default=False,
        callback=row_of("base"),
        autocompletion=completion.table_names("base"),
    ),
]
Measure = Annotated[bool, typer.Option("--measure", help="also time each base on this machine, some seconds for each")]
Family = Annotated[
    list[str] | None,
    typer.Option(
        "--family",
        metavar="NAME",
        help="only bases of this family, such as ResNet",
        show_default=False,
        callback=one_of(registries.base_families, registries.base_family),
    ),
]
Here = Annotated[bool, typer.Option("--here", help="only bases whose published weights are on this machine")]


def _show(result: BaseList) -> None:
    if not result.bases:
        print("no base has published weights on this machine that fit the selection")
        return
    measured = any(base.ms_per_image is not None for base in result.bases)
    speed = ("ms/image",) if measured else ()
    print_table(
        (
            *("base", "family", "pixels", "M weights", "MB", "GMACs", "ImageNet %", *speed),
            *("weights", "trains", "licence", "pooling", "crop"),
        ),
        [
            (
                base.name,
                base.family,
                base.image_size,
                f"{base.parameters / 1e6:.1f}",
                f"{base.bytes / 1e6:.0f}",
                f"{base.multiply_adds / 1e9:.2f}",
                f"{100 * base.imagenet_top1:.1f}" if base.imagenet_top1 else "-",
                *((f"{base.ms_per_image:.1f}",) if measured else ()),
                base.weights,
                base.fits.removesuffix(" layers"),
                "-" if base.weights == "none" else _licence(base.licence),
                base.pooling,
                f"{base.crop:g} {base.interpolation}" if base.crop else "-",
            )
            for base in result.bases
        ],
        droppable=("crop", "pooling", "MB", "family", "licence", "trains"),
    )
    here = sum(base.weights == "here" for base in result.bases)
    print_text(
        f"\n{counted(len(result.bases), 'base')}, {here} with published weights on this machine"
        "\nGMACs: billions of multiply-adds for one image of so many pixels in height and width, without a head"
        "\nImageNet %: published top-1 accuracy with these weights (--json has the source of each)"
        "\nweights: here (in the cache of Keras or huggingface_hub), download (training does it), none (not published)"
        f"\ntrains: what {byte_size(result.memory)} of memory hold here; a large batch needs more (--dry-run counts it)"
    )


def _licence(text: str) -> str:
    """Return the name in brackets at the end of a licence, or the whole text without one."""
    return text.rpartition("(")[2].rstrip(")") if text.endswith(")") else text


@app.command("list")
@reports(_show, after_bases)
def list_(
    reporter: Reporter,
    names: Names = None,
    measure: Measure = False,
    family: Family = None,
    here: Here = False,
) -> BaseList:
    """List all bases with their size, cost, accuracy, licence, and what fits this machine.

    Example: transfercli bases list resnet50 efficientnetb0 --measure
    """
    from transfercli.workflows.bases.bases import list_bases

    return list_bases(names or (), measure, reporter, families=family or (), here=here)
