"""`transfercli cache show | clear`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from transfercli.cli.options import Json, Quiet, Verbose
from transfercli.cli.runner import run_command
from transfercli.cli.ui.tables import print_pairs
from transfercli.text import byte_size

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What the caches hold; they can always be emptied.")

Folder = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="the cache folder, where a config sets compute.cache_dir"),
]


@app.command()
def show(folder: Folder = None, json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """What images and features are kept, where.

    How many there are, and how much room they take.
    """

    def work(console: Any) -> dict[str, Any]:
        from transfercli.workflows.data.cache import show_caches

        return show_caches(folder)

    run_command(work, _show, as_json=json, quiet=quiet, verbose=verbose)


@app.command()
def clear(folder: Folder = None, json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Free everything that no running process uses.

    What is needed again is computed from the images again.
    """

    def work(console: Any) -> dict[str, Any]:
        from transfercli.workflows.data.cache import clear_caches

        return clear_caches(folder)

    run_command(work, _show, as_json=json, quiet=quiet, verbose=verbose)


def _show(result: dict[str, Any]) -> None:
    print_pairs(
        [
            ("folder", result["folder"]),
            ("freed", byte_size(result["freed"]) if "freed" in result else None),
            ("in use", byte_size(result["in_use"]) if result.get("in_use") else None),
            ("holds", f"{byte_size(result['bytes'])} of at most {byte_size(result['limit'])}"),
            *((kind, _held(one)) for kind, one in result["caches"].items()),
        ]
    )


def _held(cache: dict[str, int]) -> str:
    return f"{cache['entries']:,} in {byte_size(cache['bytes'])}"
