"""What `predict` asks: a run's classifier, or an exported artefact in its own runtime."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transfercli.data.image import Geometry
from transfercli.errors import ArtefactError
from transfercli.export.formats.registry import FORMATS, Format, check_installed
from transfercli.export.spec import EXPORTED, ExportSpec, parse_card
from transfercli.export.verify.checksums import verify_checksums
from transfercli.export.verify.sandbox import read_sandboxed
from transfercli.io.bounded import read_json
from transfercli.reporting import Reporter
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.structure import geometry_of


@dataclass(frozen=True, slots=True)
class Said:
    """probabilities: float [N, C], calibrated. doubted: bool [N], whether the model is not to be believed."""

    probabilities: np.ndarray
    doubted: np.ndarray


Answer = Callable[[np.ndarray], Said]  # for uint8 images [N, H, W, 3]


@dataclass(frozen=True, slots=True)
class Source:
    """Something that answers.

    geometry: of the images it takes. threads: how many cores it may use, None for all. load: slow, imports its runtime.
    """

    labels: tuple[str, ...]
    geometry: Geometry
    load: Callable[[], Answer]
    threads: int | None = None


def find_source(name: str, runs: Path, reporter: Reporter) -> Source:
    """The run or artefact that `name` names; raises `ArtefactError` that lists what is there instead."""
    found = _artefact(Path(name))
    return _from_artefact(*found) if found else _from_run(StoredRun.find(name, runs, reporter))


def _from_run(run: StoredRun) -> Source:
    def load() -> Answer:
        model, trust = run.classifier.model, run.trust

        def answer(images: np.ndarray) -> Said:
            assessment = trust.assess(np.asarray(model.predict_on_batch(images)))
            return Said(assessment.probabilities, assessment.abstained)

        return answer

    return Source(run.labels, geometry_of(run.config), load, run.config.compute.threads)


# -- exported artefacts


def _artefact(place: Path) -> tuple[Format, Path] | None:
    """The format and the path to load of what an export wrote: its folder, or the artefact by itself."""
    try:
        if (place / EXPORTED).is_file() and not (place / "run.json").exists():
            name = read_json(place / EXPORTED).get("format")
            row = FORMATS.get(name) if isinstance(name, str) else None
            if row is None:
                raise ArtefactError(f"{place / EXPORTED} names the format {name!r}; known are {', '.join(FORMATS)}")
            return row, place / row.entry
        if (place / "saved_model.pb").is_file():
            return FORMATS["saved_model"], place
        if place.is_file():
            rows = [row for row in FORMATS.values() if row.entry and Path(row.entry).suffix == place.suffix.lower()]
            return (rows[0], place) if rows else None
    except (OSError, ValueError, AttributeError):
        return None
    return None


def _from_artefact(row: Format, path: Path) -> Source:
    check_installed(row, row.runtime, f"{path}, in the format {row.name},")
    spec = _spec_beside(row, path)
    if spec is None:
        answer, spec = _loaded(row, path, None)
        return Source(spec.labels, spec.geometry, lambda: answer)
    return Source(spec.labels, spec.geometry, lambda: _loaded(row, path, spec)[0])


def _spec_beside(row: Format, path: Path) -> ExportSpec | None:
    """The card of the export.json beside an artefact, whose files are as it says; None where none tells of this one."""
    folder = path if not row.entry else path.parent
    if not (folder / EXPORTED).is_file():
        return None
    exported = read_json(folder / EXPORTED)
    told = isinstance(exported, dict) and exported.get("format") == row.name
    if not told or path != folder / row.entry:
        return None
    verify_checksums(folder, exported)
    return parse_card(json.dumps(exported))


def _loaded(row: Format, path: Path, beside: ExportSpec | None) -> tuple[Answer, ExportSpec]:
    """Loaded by its runtime, in a process of its own: it may come from anywhere.

    It knows how sure it is, and not the energy of an image: that takes the run's logits.
    """
    artefact = read_sandboxed(row.name, path)
    spec = artefact.spec or beside
    if spec is None:
        raise ArtefactError(
            f"{path} has no card: it was not written by this program's export", "name the folder with its export.json"
        )
    if beside not in (None, spec):
        raise ArtefactError(
            f"{path} is not what the {EXPORTED} beside it tells of", "keep each artefact's folder whole"
        )
    confidence = math.inf if spec.confidence is None else spec.confidence

    def answer(images: np.ndarray) -> Said:
        probabilities = artefact.from_tensors(images)
        _check(probabilities, spec, path)
        return Said(probabilities, probabilities.max(axis=1) < confidence)

    return answer, spec


def _check(probabilities: np.ndarray, spec: ExportSpec, path: Path) -> None:
    """Raise `ArtefactError` for what a damaged network says."""
    if probabilities.shape[1] != len(spec.labels):
        raise ArtefactError(
            f"{path} answers for {probabilities.shape[1]} classes, and its card names {len(spec.labels)}",
            "export the run again",
        )
    if not np.isfinite(probabilities).all():
        raise ArtefactError(f"{path} answers with numbers that are not finite", "it is damaged: export the run again")
