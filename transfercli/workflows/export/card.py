"""Model card of a run in the folder of its exported artefacts, from the files of the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.config.loader import dump
from transfercli.data.label_sets import labels_in
from transfercli.errors import ArtefactError
from transfercli.export.artefact_files import EXPORTED
from transfercli.export.card.facts import ArtefactFacts, CardFacts, EvaluationFacts, RunFacts, validated
from transfercli.export.formats.registry import FORMATS
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

MAIN_SPLITS = ("test", "validation")  # the card begins with the first of these that was evaluated
UNKNOWN = "unknown"  # the Hub's identifier of a licence that is not known


def write_card(run: StoredRun, spec: ExportSpec, out: Path) -> str | None:
    """Write `README.md` to the folder `out` of the artefacts, and return its path, or None if it is not written.

    It is not written if `out` has no artefact of this run, or, with a warning, if another program wrote the README.md
    there or a file of the run is damaged: the artefacts stay valid. A card of an earlier export of this run is then
    removed; a card of another run stays.
    """
    from transfercli.export.card.card import FILE, MARK, model_card

    path = out / FILE
    if run.has_numbers:
        run.reporter.info("no model card is written: it is of classes and labels")
        return None
    earlier = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    if path.exists() and MARK not in earlier:
        run.reporter.warning(f"{path} was not written by transfercli and stays: no model card is written")
        return None
    try:
        if artefacts := artefacts_in(out, run.folder):
            atomic.write_text(path, model_card(card_facts(run, spec, artefacts)))
            return str(path)
    except ArtefactError as error:
        run.reporter.warning(f"no model card is written: {error.message}")
    if run.folder.run_id in earlier:
        path.unlink(missing_ok=True)
    return None


def artefacts_in(out: Path, run: RunFolder) -> list[ArtefactFacts]:
    """Return the artefacts of this run in `out`, in the order of the table of formats.

    Raises `ArtefactError` if an export.json is damaged.
    """
    files = {name: path for name in FORMATS if (path := out / name / EXPORTED).is_file()}
    artefacts = {name: validated(ArtefactFacts, read_json(path), path) for name, path in files.items()}
    for name, artefact in artefacts.items():
        if artefact.format != name:
            raise ArtefactError(f"{files[name]} is damaged: its format is {artefact.format!r}", "export it again")
    return [artefact for artefact in artefacts.values() if artefact.run == run.label]


def card_facts(run: StoredRun, spec: ExportSpec, artefacts: Sequence[ArtefactFacts]) -> CardFacts:
    """Return the content of the card."""
    config = run.config
    base, generations = str(config.model.base), lineage(run)
    return CardFacts(
        experiment=run.folder.experiment,
        run_id=run.folder.run_id,
        spec=spec,
        base=base,
        source=BASES[base].source,
        licence=spec.origin["weights_licence"],
        licence_id=licence_id(generations),
        first_weights=first_weights(generations),
        strategy=str(config.transfer.strategy),
        shown=config.evaluation.metrics,
        record=validated(RunFacts, run.record.content, run.record.path),
        config_yaml=hide_paths_in_yaml(dump(config)).strip(),
        counts=image_counts(run, spec.labels),
        evaluations=current_evaluations(run.folder),
        lineage=[asdict(generation) for generation in generations],
        artefacts=artefacts,
        unknown_auroc=run.unknown.separation.get(run.unknown.name) if run.unknown else None,
        taps=config.model.head.taps or (),
    )


def licence_id(generations: Sequence[Generation]) -> str:
    """Return the Hub's identifier of the licence of the first weights; `unknown` unless their publisher named it."""
    first = generations[-1]
    if first.licence:
        return first.licence.partition(":")[0]
    return BASES[str(first.base)].licence_id if first.weights == "imagenet" else UNKNOWN


def first_weights(generations: Sequence[Generation]) -> str:
    """Return a description of the initial weights of the run, or of the first of its ancestors."""
    first = generations[-1].weights
    if isinstance(first, dict):
        if "hub" in first:
            return f"the repository {first['hub']} of the Hugging Face Hub"
        return f"the file {Path(first['path']).name}" if "path" in first else f"the run {first['run']}"
    repository = BASES[str(generations[-1].base)].repository if first == "imagenet" else None
    published = f"{first} weights of {repository.repository if repository else 'Keras'}"
    return {"none": "random weights", "imagenet": published, None: "weights of a deleted run"}[first]


def image_counts(run: StoredRun, labels: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return {label: {split: number of images}} of the usable images; an image counts for each label that it has."""
    counts = Counter(
        (label, image.split)
        for image in run.images
        if image.split
        for label in labels_in(image.label, several=run.several)
    )
    splits = sorted({split for _, split in counts})
    return {label: {split: counts[label, split] for split in splits} for label in labels}


def current_evaluations(run: RunFolder) -> dict[str, EvaluationFacts]:
    """Return the evaluations that are up to date, by the name of their folder: test, validation, then the others.

    Evaluations without an image that was not learnt from come last, whatever their name.
    """
    folders = sorted(run.evaluations.iterdir()) if run.evaluations.is_dir() else []
    names = [folder.name for folder in folders if not is_stale(run, folder.name)]
    names.sort(key=lambda name: (MAIN_SPLITS.index(name) if name in MAIN_SPLITS else len(MAIN_SPLITS), name))
    files = {name: run.evaluation(name) / "metrics.json" for name in names}
    evaluations = {name: validated(EvaluationFacts, read_json(file), file) for name, file in files.items()}
    return dict(sorted(evaluations.items(), key=lambda item: not item[1].is_honest))
