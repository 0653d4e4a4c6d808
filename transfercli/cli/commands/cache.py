"""Commands `transfercli cache show` and `cache clear`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_cache_show
from transfercli.cli.ui.tables import print_pairs
from transfercli.reporting import Reporter
from transfercli.text import byte_size

if TYPE_CHECKING:
    from transfercli.data.cache.maintenance import Usage
    from transfercli.workflows.data.cache import CacheContents

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Show or clear the caches; they can be cleared at any time."
)

Folder = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="the cache folder, if the config sets compute.cache_dir"),
]


def _show(result: CacheContents) -> None:
    cleared = result.cleared
    print_pairs(
        [
            ("folder", result.folder),
            ("freed", byte_size(cleared.freed) if cleared else None),
            ("in use", byte_size(cleared.in_use) if cleared and cleared.in_use else None),
            ("size", f"{byte_size(result.bytes)} of at most {byte_size(result.limit)}"),
            *((kind, _size(usage)) for kind, usage in result.caches.items()),
        ]
    )


def _size(usage: Usage) -> str:
    return f"{usage.entries:,} in {byte_size(usage.bytes)}"


@app.command()
@reports(_show, after_cache_show)
def show(reporter: Reporter, folder: Folder = None) -> CacheContents:
    """Show the number of cached images and features, and their size.

    Example: transfercli cache show
    """
    from transfercli.workflows.data.cache import show_caches

    return show_caches(folder)


@app.command()
@reports(_show, after_cache_show)
def clear(reporter: Reporter, folder: Folder = None) -> CacheContents:
    """Remove all cached data that no running process uses.

    Data that is needed later is computed from the images again.

    Example: transfercli cache clear
    """
    from transfercli.workflows.data.cache import clear_caches

    return clear_caches(folder)
