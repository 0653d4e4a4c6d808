"""Files of a merged run, which appear together or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from transfercli.config.loader import dump
from transfercli.evaluation.held_out import write_held_out
from transfercli.io import atomic
from transfercli.models.unknown.file import write_score
from transfercli.reporting import Reporter
from transfercli.runs import record
from transfercli.runs.folder import RunFolder
from transfercli.runs.listing import next_completion
from transfercli.training.progress import Progress
from transfercli.workflows.fitted_trust import write_fitted_trust
from transfercli.workflows.merge.answers import ALL
from transfercli.workflows.merge.images import MergedImages, copy_slices, merged_images
from transfercli.workflows.merge.scoring import MergedModel
from transfercli.workflows.merge.unknown import score_of_merged
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.reproducibility import reproducibility_facts
from transfercli.workflows.train.results import KEPT_METRICS

PHASE = "merge"


def write_run(run: RunFolder, model: MergedModel, facts: dict[str, Any], reporter: Reporter) -> None:
    """Write a merged run, with its calibration. The network is built once: one that cannot be leaves no run.

    facts: keys of its record that only the workflow knows: command, merged, seconds.
    """
    from transfercli.training import history

    first, images = model.members[0], merged_images(model.members, learnt=cross_validated(model) is not None)
    config = first.config.model_copy(update={"name": run.experiment, "model": model.config})
    with atomic.new_folder(run.path) as folder:
        written = RunFolder(folder)
        atomic.write_text(written.config, dump(config))
        atomic.write_json(written.labels, list(first.labels))
        images.write(written)
        copy_slices(first, written)
        answers = model.answers
        fitted = model.logits, answers.targets, first.labels, config.evaluation, answers.groups
        write_fitted_trust(written.calibration, answers.task, *fitted)
        paths = paths_of(images, model.answers.sha256s)
        write_held_out(written.held_out, paths, model.answers.targets, model.logits)
        line = _line(model)
        _write_checkpoint(written, model, line)
        history.append(written.metrics, line)
        atomic.write_json(written.record, _record(run, model, images, line, reporter) | facts)
        stored = StoredRun(written, reporter)
        _ = stored.classifier
        if (score := score_of_merged(stored, model)) is not None:
            write_score(written.unknown, score)


def paths_of(images: MergedImages, sha256s: Sequence[str]) -> list[str]:
    """Return the path of each image, by its hash; of an image in two files, the first."""
    paths: dict[str, str] = {}
    for image in images.records:
        paths.setdefault(image.sha256, image.path)
    return [paths[sha256] for sha256 in sha256s]


def _line(model: MergedModel) -> dict[str, Any]:
    """Return the line of metrics.jsonl: the metrics of the merged model, as of a probe, with epoch 0."""
    from transfercli.training.objectives import OBJECTIVES

    answers, labels = model.answers, model.members[0].labels
    metrics = OBJECTIVES[answers.task].validation_metrics(model.logits, answers.targets, labels, answers.targets)
    return {"phase": PHASE, "epoch": 0, **metrics}


def _write_checkpoint(run: RunFolder, model: MergedModel, line: dict[str, Any]) -> None:
    from transfercli.training.checkpoints import Checkpoint, Checkpoints

    progress = asdict(Progress(line=line))
    Checkpoints(run.checkpoints).save(0, Checkpoint(model.tensors, {}, progress), is_best=True)


def _record(
    run: RunFolder, model: MergedModel, images: MergedImages, line: dict[str, Any], reporter: Reporter
) -> dict[str, Any]:
    """Return the record of a completed run without the keys that only the workflow knows."""
    import keras

    first, now = model.members[0], record.utc_now()
    every = [member.record for member in model.members]
    learnt = cross_validated(model)
    return {
        "status": "completed",
        "experiment": run.experiment,
        "run_id": run.run_id,
        "created": now,
        "finished": now,
        "workflow": "merge",
        "config_folder": record.relative_config_folder(run, first.loaded.folder),
        "parent": None,
        "weights": first.record.weights or None,
        "seed": first.config.seed,
        "git_commit": record.git_commit(first.loaded.folder),
        "backend": keras.backend.backend(),
        "precision": "float32",
        "phases": _distinct(phase for each in every for phase in each.phases),
        "data": {
            "fingerprint": images.fingerprint(),
            "images": images.counts(),
            **({"auxiliary": {"images": images.auxiliary_counts()}} if images.auxiliary else {}),
        },
        "learnt_before": _most([each.learnt_before or {} for each in every]),
        "cache": {name: {"hits": 0, "misses": 0} for name in ("images", "features")},
        **reproducibility_facts(first.config, reporter),
        "completion": next_completion(run.path.parent),
        "best_epoch": 0,
        "epochs": 0,
        "cross_validated": learnt,
        "metrics": {name: line[name] for name in KEPT_METRICS if name in line},
    }


def cross_validated(model: MergedModel) -> int | None:
    """Return the number of images that score the model if it learnt from them in the end; None if it did not."""
    learnt = model.answers.by != ALL or any(member.record.refitted for member in model.members)
    return len(model.answers) if learnt else None


def _distinct(phases: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for phase in phases:
        if phase not in found:
            found.append(phase)
    return found


def _most(counts: Sequence[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """Return split -> use -> the largest number that a member has."""
    most: dict[str, dict[str, int]] = {}
    for member in counts:
        for split, uses in member.items():
            for use, number in uses.items():
                most.setdefault(split, {})[use] = max(number, most.get(split, {}).get(use, 0))
    return most
