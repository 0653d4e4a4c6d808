"""Page of a run: results, config, lineage, evaluations, exports, decisions, log and environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from transfercli.runs.record import RunRecord
from transfercli.text import byte_size, duration, printable
from transfercli.workflows.runs.rows import row_of
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.ui.pages import run_parts, stored_files
from transfercli.workflows.ui.pages.choices import LIVE_SECONDS
from transfercli.workflows.ui.pages.parts import Part, part
from transfercli.workflows.ui.run_index import label_of
from transfercli.workflows.ui.site import Section, Site

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


def facts_of(site: Site, run: StoredRun) -> dict[str, Any]:
    """Return the variables of the page of a run; each part that cannot be read has the reason."""
    folder = run.folder
    record: Part[RunRecord] = part(lambda: run.record)
    label = label_of(folder)
    listed = site.index.listing().by_label.get(label)
    row = listed.row if listed is not None else row_of(folder, {})
    parent = part(lambda: run.record.parent).value
    return {
        "label": label,
        "row": row,
        "record": record,
        "summary": part(lambda: summary_of(run.record)),
        "metrics": part(lambda: run.record.metrics),
        "evaluations": part(lambda: run_parts.evaluations(folder)),
        "config": part(lambda: run_parts.config_text(folder)),
        "from_default": part(lambda: run_parts.from_default(folder)),
        "parent": parent,
        "from_parent": part(lambda: run_parts.from_parent(folder, parent, site.runs)) if parent else None,
        "lineage": part(lambda: run_parts.generations(run)),
        "exports": part(lambda: run_parts.exports(folder)),
        "decisions": part(lambda: run_parts.decisions_about(folder)),
        "log": part(lambda: run_parts.log_tail(folder)),
        "environment": part(lambda: environment_of(run.record)),
        "pictures": stored_files.pictures_of(folder),
    }


def summary_of(record: RunRecord) -> list[tuple[str, str]]:
    """Return the names and texts of the facts of a record that a person looks for first."""
    images = ", ".join(f"{count:,} {split}" for split, count in record.image_counts.items())
    content = record.content
    facts: list[tuple[str, Any]] = [
        ("Created", (record.created or "")[:19].replace("T", " ")),
        ("Command", record.command),
        ("Images", images),
        ("Best epoch", record.best_epoch),
        ("Time", duration(seconds) if (seconds := record.seconds.get("total")) is not None else None),
        ("Cross-validated", f"{record.cross_validated} images" if record.cross_validated else None),
        ("Seed", content.get("seed")),
        ("Commit", record.git_commit),
        ("Adaptation", record.adaptation["text"] if record.adaptation else None),
    ]
    return [(name, str(value)) for name, value in facts if value not in (None, "")]


def environment_of(record: RunRecord) -> list[tuple[str, str]]:
    """Return the names and texts of what the bits of a result depend on."""
    content, machine = record.content, record.machine
    facts = [(name, content.get(name)) for name in ("backend", "device", "precision")]
    facts += [(name, value) for name, value in machine.items() if not isinstance(value, dict)]
    settings = machine.get("settings")
    facts += list(settings.items()) if isinstance(settings, dict) else []
    facts += list(record.versions.items())
    return [(str(name), _text(value)) for name, value in facts if value not in (None, "", [])]


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def routes(site: Site) -> Sequence[Route]:
    """Return the routes of the page."""
    site.environment.filters |= {
        "bytes": byte_size,
        "duration": duration,
        "lines": lambda text: printable(site.hidden(str(text))),
    }

    def show(request: Request) -> Response:
        facts = facts_of(site, site.run_of(request))
        return site.page(request, "run.html.j2", live=LIVE_SECONDS, **facts)

    return [Route("/runs/{experiment}/{run_id}", show), *stored_files.routes(site)]


SECTION = Section("", "/runs", routes)
