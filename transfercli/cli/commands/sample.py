"""`transfercli sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from transfercli.cli.options import Json, Quiet, Verbose
from transfercli.cli.runner import run_command
from transfercli.cli.ui.tables import print_pairs


def sample(
    name: Annotated[str, typer.Argument(metavar="NAME", help="digits, digits-source (0-4) or digits-target (5-9)")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a folder that is not there yet")],
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write a folder of real images to try things on.

    They are part of a library that is installed: no network is needed.
    """

    def work(console: Any) -> dict[str, Any]:
        from transfercli.data.samples import write_sample

        written = write_sample(name, folder)
        images = {"train": written.train, "test": written.test}
        return {"sample": name, "path": str(folder), "images": images, "classes": list(written.classes)}

    run_command(work, _show, as_json=json, quiet=quiet, verbose=verbose)


def _show(result: dict[str, Any]) -> None:
    counts = ", ".join(f"{count} {side}" for side, count in result["images"].items())
    print_pairs([("sample", result["sample"]), ("path", result["path"]), ("images", counts)])
