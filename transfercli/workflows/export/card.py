"""The model card beside exported artefacts: what the run's files say, gathered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.config.loader import dump
from transfercli.errors import ArtefactError
from transfercli.export.card.facts import ArtefactFacts, CardFacts, EvaluationFacts, RunFacts, validated
from transfercli.export.formats.registry import FORMATS
from transfercli.export.spec import EXPORTED
from transfercli.io import atomic
from transfercli.io.bounded import read_json
from transfercli.models.bases import BASES
from transfercli.redaction import hide_paths_in_yaml
from transfercli.runs.folder import RunFolder
from transfercli.workflows.evaluate.provenance import is_stale
from transfercli.workflows.runs.runs import Generation, lineage
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.export.spec import ExportSpec

DECIDES = ("test", "validation")  # the evaluation that a card begins with: the first there is
UNKNOWN = "unknown"  # the Hub's word for a licence that nobody told


def write_card(run: StoredRun, spec: ExportSpec, out: Path) -> str | None:
    """Write `README.md` beside the artefacts in `out`, and return its path; None where it is not written.

    That is where no artefact of this run stands there, where somebody else's README.md does, and, with a warning, where
    a file of the run is damaged: the artefacts are no worse for that. A card that an earlier export of the run left is
    gone then; one of another run, whose artefacts stand there, stays.
    """
    from transfercli.export.card.card import FILE, MARK, model_card

    place = out / FILE
    earlier = place.read_text(encoding="utf-8", errors="replace") if place.is_file() else ""
    if place.exists() and MARK not in earlier:
        run.reporter.warning(f"{place} is not this program's, and stays: there is no model card")
        return None
    try:
        if artefacts := artefacts_in(out, run.folder):
            atomic.write_text(place, model_card(facts_of(run, spec, artefacts)))
            return str(place)
    except ArtefactError as error:
        run.reporter.warning(f"there is no model card: {error.message}")
    if run.folder.run_id in earlier:
        place.unlink(missing_ok=True)
    return None


def artefacts_in(out: Path, run: RunFolder) -> list[ArtefactFacts]:
    """Each artefact of this run that stands in `out`, in the order of the table of formats."""
    places = {name: place for name in FORMATS if (place := out / name / EXPORTED).is_file()}
    found = {name: validated(ArtefactFacts, read_json(place), place) for name, place in places.items()}
    for name, one in found.items():
        if one.format != name:
            raise ArtefactError(f"{places[name]} is damaged: it is of the format {one.format!r}", "export it again")
    return [one for one in found.values() if one.run == run.label]


def facts_of(run: StoredRun, spec: ExportSpec, artefacts: Sequence[ArtefactFacts]) -> CardFacts:
    config = run.config
    base, family = str(config.model.base), lineage(run)
    return CardFacts(
        experiment=run.folder.experiment,
        run_id=run.folder.run_id,
        spec=spec,
        base=base,
        source=BASES[base].source,
        licence=spec.origin["weights_licence"],
        licence_id=licence_id(family),
        first_weights=first_weights(family),
        strategy=str(config.transfer.strategy),
        shown=config.evaluation.metrics,
        record=validated(RunFacts, run.record.content, run.record.path),
        config_yaml=hide_paths_in_yaml(dump(config)).strip(),
        counts=counts_of(run, spec.labels),
        evaluations=evaluations_of(run.folder),
        lineage=[asdict(generation) for generation in family],
        artefacts=artefacts,
    )


def licence_id(family: Sequence[Generation]) -> str:
    """The Hub's name of the licence of the first weights; `unknown` unless they are published ones of Keras."""
    first = family[-1]
    return BASES[str(first.base)].licence_id if first.weights == "imagenet" else UNKNOWN


def first_weights(family: Sequence[Generation]) -> str:
    """What the run, or the first of its ancestors, began with, in words."""
    first = family[-1].weights
    if isinstance(first, dict):
        return f"the file {Path(first['path']).name}" if "path" in first else f"the run {first['run']}"
    return {"none": "random weights", "imagenet": f"{first} weights of Keras", None: "weights that are gone"}[first]


def counts_of(run: StoredRun, labels: Sequence[str]) -> dict[str, dict[str, int]]:
    """{label: {split: images}} of the images that were used."""
    counts = Counter((one.label, one.split) for one in run.images if one.split)
    splits = sorted({split for _, split in counts})
    return {label: {split: counts[label, split] for split in splits} for label in labels}


def evaluations_of(run: RunFolder) -> dict[str, EvaluationFacts]:
    """By the folder below evaluation/, those that speak of the model as it is, the most telling first.

    Those of images that the run learnt from come last, whatever their name.
    """
    places = sorted(run.evaluations.iterdir()) if run.evaluations.is_dir() else []
    names = [place.name for place in places if not is_stale(run, place.name)]
    names.sort(key=lambda name: (DECIDES.index(name) if name in DECIDES else len(DECIDES), name))
    files = {name: run.evaluation(name) / "metrics.json" for name in names}
    found = {name: validated(EvaluationFacts, read_json(file), file) for name, file in files.items()}
    return dict(sorted(found.items(), key=lambda one: bool(one[1].known)))
