"""Evaluation in shards: processes compute outputs of a part of the images each, and one evaluates all of them.

A shard has no metrics of its own: metrics, intervals, gates and the report are of all images, computed from the stored
outputs as one process would.
"""

from __future__ import annotations

import hashlib
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.errors import ArtefactError
from transfercli.reporting import Reporter
from transfercli.runs.folder import DEFAULT_RUNS
from transfercli.shards import Shard
from transfercli.text import counted, first_of
from transfercli.training.keras_import import backend_name
from transfercli.workflows.evaluate.provenance import model_fingerprint
from transfercli.workflows.evaluate.request import EvaluateRequest, check_can_be_written, shard_file
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    import numpy as np

    from transfercli.data.dataset import Split

_LISTED = 3


@dataclass(frozen=True)
class ShardResult:
    """A shard whose outputs are stored.

    file: holds the outputs. examples: number of its images. known: the file was there, of this model and these images.
    merge: words of the command that evaluates all shards.
    """

    run: Path
    split: str
    shard: Shard
    examples: int
    file: Path
    known: bool
    merge: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "run": str(self.run),
            "split": self.split,
            "shard": str(self.shard),
            "examples": self.examples,
            "file": str(self.file),
            "known": self.known,
        }


def evaluate_shard(request: EvaluateRequest, reporter: Reporter) -> ShardResult:
    """Compute and store the outputs of one shard; nothing is computed if they are stored already.

    The limit of unreadable images holds for all images together, so it is decided when the shards are merged.
    """
    run, shard = StoredRun.find(request.run, request.runs, reporter), request.shard
    assert shard is not None
    check_can_be_written(run.folder, request)
    run.accept_bad(request.max_bad)
    run.max_lost, run.max_bad = (1.0 if limit else 0.0 for limit in (run.max_lost, run.max_bad))
    split = _images(run, request, shard)
    images, file, made_by = _images_of(split), shard_file(run.folder, request, shard), _made_by(run, request)
    known = _is_known(file, images, made_by)
    if not known:
        from transfercli.evaluation.shard_outputs import ShardOutputs
        from transfercli.io.atomic import make_folder

        outputs = _outputs(run, split, reporter)
        make_folder(file.parent)
        ShardOutputs(images, outputs, made_by).write(file)
    merge = _command(request, "--merge-shards", shard.count)
    return ShardResult(run.path, request.split, shard, len(images), file, known, merge)


def merged_outputs(run: StoredRun, split: Split, request: EvaluateRequest) -> np.ndarray:
    """Return the stored outputs of all shards in the order of a split, float32 [N, units].

    Raises `ArtefactError` if a shard is missing or damaged, or of another model, or if the shards do not have each
    image of the split exactly once.
    """
    import numpy as np

    from transfercli.evaluation.shard_outputs import ShardOutputs

    count = request.merged or 0
    shards = [Shard(number, count) for number in range(1, count + 1)]
    files = {shard: shard_file(run.folder, request, shard) for shard in shards}
    if missing := [shard for shard, file in files.items() if not file.is_file()]:
        raise ArtefactError(
            f"{len(missing)} of {counted(count, 'shard')} of {run.label} have no outputs in {files[shards[0]].parent}:"
            f" {first_of([str(shard) for shard in missing], _LISTED)}",
            _in_words(_command(request, "--shard", missing[0])),
        )
    made_by, parts = _made_by(run, request), dict[Shard, ShardOutputs]()
    for shard, file in files.items():
        again = _in_words(_command(request, "--shard", shard))
        try:
            parts[shard] = ShardOutputs.read(file)
        except ArtefactError as error:
            raise ArtefactError(f"shard {shard}: {error.message}", f"{error.hint}: {again}") from error
        if differing := [name for name, value in made_by.items() if parts[shard].made_by.get(name) != value]:
            raise ArtefactError(
                f"shard {shard} of {run.label} was computed with another {' and '.join(differing)}", again
            )
    wanted = _images_of(split)
    _check_images(run, request, wanted, {shard: part.images for shard, part in parts.items()})
    filled = [part for part in parts.values() if part.images]
    row_of = {image: row for row, image in enumerate(image for part in filled for image in part.images)}
    outputs = np.concatenate([part.outputs for part in filled])
    return outputs[[row_of[image] for image in wanted]]


def _check_images(
    run: StoredRun,
    request: EvaluateRequest,
    wanted: Sequence[tuple[str, str]],
    shards: dict[Shard, tuple[tuple[str, str], ...]],
) -> None:
    """Raise `ArtefactError` unless the shards together have each wanted image exactly once."""
    found = Counter(image for images in shards.values() for image in images)
    missing, left = Counter(wanted) - found, found - Counter(wanted)
    if not missing and not left:
        return
    of_shard = [str(shard) for shard, images in shards.items() if any(image in left for image in images)]
    extra = (
        f", and shard {first_of(of_shard, _LISTED)} has {left.total()} that are there twice or no longer"
        if left
        else ""
    )
    names = first_of(sorted({path for path, _ in missing}), _LISTED, written=repr)
    lost = f"{missing.total()} of {counted(len(wanted), f'{request.split} image')} are in no shard" + (
        f", such as {names}" if missing else ""
    )
    raise ArtefactError(
        f"the shards of {run.label} are not of the images that are there now: {lost}{extra}",
        "images changed, or came or went: evaluate every shard again; those that are still right take no time",
    )


def _images(run: StoredRun, request: EvaluateRequest, shard: Shard) -> Split | None:
    """Return the images of a shard; None if it has none."""
    if request.data:
        return run.other_images(request.data, request.split, shard)
    images = run.usable_of(request.split)
    return None if images and not shard.of(images) else run.split(request.split, shard)


def _images_of(split: Split | None) -> tuple[tuple[str, str], ...]:
    return tuple(zip(split.paths, split.sha256s, strict=True)) if split else ()


def _outputs(run: StoredRun, split: Split | None, reporter: Reporter) -> np.ndarray:
    """Return the outputs of a split as `evaluate` computes them; [0, 0] without images."""
    import numpy as np

    if split is None or not len(split):
        return np.zeros((0, 0), np.float32)
    model = run.scored_model  # sets the backend up, so it comes before every import of Keras
    from transfercli.models.forward import forward

    return forward(model, split.images, run.config.data.batch_size, reporter, "evaluate")


def _is_known(file: Path, images: tuple[tuple[str, str], ...], made_by: dict[str, str]) -> bool:
    """Return True if the file holds the outputs of this model for these images."""
    from transfercli.evaluation.shard_outputs import ShardOutputs

    try:
        stored = ShardOutputs.read(file)
    except ArtefactError:  # missing, or damaged and computed again
        return False
    return stored.images == images and dict(stored.made_by) == made_by


def _made_by(run: StoredRun, request: EvaluateRequest) -> dict[str, str]:
    """Return what the outputs depend on besides the images."""
    config = hashlib.sha256(run.folder.config.read_bytes()).hexdigest()
    return {"model": model_fingerprint(run.folder), "config": config, "split": request.split, "backend": backend_name()}


def _command(request: EvaluateRequest, option: str, value: object) -> tuple[str, ...]:
    """Return the words of the command of another step, `--shard i/n` or `--merge-shards n`, as this one was typed."""
    words: list[object] = ["evaluate", request.run]
    words += ["--runs", request.runs] if request.runs != DEFAULT_RUNS else []
    words += ["--split", request.split] if request.split != "test" else []
    words += ["--data", request.data] if request.data else []
    words += ["--max-bad", f"{request.max_bad:g}"] if request.max_bad is not None else []
    words += ["--out", request.out] if request.out else []
    return tuple(map(str, (*words, option, value)))


def _in_words(command: tuple[str, ...]) -> str:
    return shlex.join(("transfercli", *command))
