"""The page of `monitor --report PATH`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.io import atomic
from transfercli.runs.folder import RunFolder
from transfercli.runs.output_paths import check_output_file, check_output_folder
from transfercli.workflows.command_lines import command_line, run_arguments, shown_path
from transfercli.workflows.monitor.result import ESTIMATES, MonitorResult

if TYPE_CHECKING:
    from transfercli.evaluation.monitoring.answered_images import AnsweredImages, Array
    from transfercli.workflows.monitor.request import MonitorRequest

OPTION, NAME = "--report", "monitor.html"


def page_path(given: Path) -> Path:
    """Return the file of the page: the one that is given, or `NAME` in a folder.

    Raises `UsageError` before any work if it cannot be written.
    """
    if given.suffix.lower() in (".html", ".htm"):
        check_output_file(given, OPTION)
        return given
    check_output_folder(given, OPTION)
    return given / NAME


def write_page(path: Path, result: MonitorResult, request: MonitorRequest) -> None:
    """Write the page atomically."""
    from transfercli.evaluation.report.monitor_page import MonitorPage

    run = RunFolder(result.run)
    both = (result.reference, result.asked)
    page = MonitorPage(
        run.label,
        result.as_json(),
        result.labels,
        (_confidence(both[0]), _confidence(both[1])),
        (_shares(both[0]), _shares(both[1])),
        {ESTIMATES[name]: value for name, value in result.expectation.estimates.items()},
        _command(run, request),
    )
    atomic.make_folder(path.parent)
    atomic.write_bytes(path, page.render().encode("utf-8", "replace"))


def _confidence(answers: AnsweredImages) -> Array:
    """Return the confidence of each image, of several labels that of the least sure one."""
    least: Array = answers.certainty.min(axis=1)
    return least


def _shares(answers: AnsweredImages) -> Array:
    shares: Array = answers.answered.mean(axis=0)
    return shares


def _command(run: RunFolder, request: MonitorRequest) -> str:
    arguments = [*run_arguments(run, request.runs), shown_path(request.folder)]
    arguments += [part for gate in request.minimums for part in ("--min-expected", gate)]
    arguments += ["--gate-on", request.gate_on] if request.gate_on != "point" else []
    for name in ("model", "since", "until"):
        value = getattr(request, name)
        arguments += [f"--{name}", str(value)] if value is not None else []
    arguments += ["--max-bad", f"{request.max_bad:g}"] if request.max_bad is not None else []
    return command_line("monitor", *arguments)
