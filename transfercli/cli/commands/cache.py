"""Commands `transfercli cache show`, `cache clear` and `cache merge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transfercli.cli.command import reports
from transfercli.cli.next_steps import after_cache_clear, after_cache_merge
from transfercli.cli.ui.tables import print_pairs
from transfercli.reporting import Reporter
from transfercli.text import byte_size

if TYPE_CHECKING:
    from transfercli.data.cache.maintenance import Usage
    from transfercli.workflows.data.cache import CacheContents, MergedCaches

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Show, merge or clear the caches of images and features.",
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


Sources = Annotated[
    list[Path], typer.Argument(metavar="DIR", help="cache folders, such as those of shards", show_default=False)
]
MaxSize = Annotated[
    float | None,
    typer.Option(
        "--max-gb", metavar="GB", min=0, help="largest size of the cache; default 50, as compute.cache_max_gb"
    ),
]


def _show_merged(result: MergedCaches) -> None:
    print_pairs(
        [
            ("folder", result.folder),
            *(
                (kind, f"{counts.taken:,} rows taken ({byte_size(counts.bytes)}), {counts.known:,} were here")
                for kind, counts in result.counts.kinds.items()
            ),
            ("refused", sum(one.rows for one in result.counts.refused) or None),
        ]
    )


@app.command()
@reports(_show_merged, after_cache_merge)
def merge(reporter: Reporter, sources: Sources, folder: Folder = None, max_gb: MaxSize = None) -> MergedCaches:
    """Take the rows of other caches into this one.

    This one is the folder of TRANSFERCLI_CACHE, or of --dir. Each row is checked by its checksum, and taken once. What
    is damaged is named and left out.

    Example: transfercli cache merge shards/1 shards/2
    """
    from transfercli.workflows.data.cache import merge_caches

    return merge_caches(folder, sources, max_gb, reporter)


@app.command()
@reports(_show)
def show(reporter: Reporter, folder: Folder = None) -> CacheContents:
    """Show the number of cached images and features, and their size.

    Example: transfercli cache show
    """
    from transfercli.workflows.data.cache import show_caches

    return show_caches(folder)


@app.command()
@reports(_show, after_cache_clear)
def clear(reporter: Reporter, folder: Folder = None) -> CacheContents:
    """Remove all cached data that no running process uses.

    That is safe at any time: data that is needed later is computed from the images again.

    Example: transfercli cache clear
    """
    from transfercli.workflows.data.cache import clear_caches

    return clear_caches(folder)
