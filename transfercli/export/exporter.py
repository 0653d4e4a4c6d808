"""Write artefacts, prove each one equal to the run, and only then put it in its place."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.errors import ArtefactError, GateError, UsageError
from transfercli.export.formats.embedded_spec import labels_text
from transfercli.export.formats.registry import FORMATS, PARITY, Format, check_formats
from transfercli.export.spec import EXPORTED, ExportSpec, Writing
from transfercli.export.verify.checksums import SEAL, seal_of
from transfercli.export.verify.parity import Answer, Question, ask
from transfercli.io import atomic
from transfercli.io.bounded import read_json
from transfercli.reporting import Reporter

DROP, DROPPED_IMAGES = 0.01, 2
ROUNDING = 1e-9  # a difference of two shares of the same images


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """formats: rows of `FORMATS`. out: the folder that gets one folder a format. max_drop: largest loss of accuracy.

    samples: uint8 [M, H, W, 3], training images; needed for int8 only.
    """

    formats: tuple[str, ...]
    out: Path
    quantize: str = "none"
    max_drop: float | None = None
    samples: np.ndarray | None = None

    def allowed_drop(self, examples: int) -> float | None:
        """What was asked for; for int8 otherwise a point of accuracy, or two images where these are more."""
        if self.max_drop is None and self.quantize == "int8":
            return max(DROP, DROPPED_IMAGES / examples)
        return self.max_drop


@dataclass(frozen=True, slots=True)
class Reference:
    """Real images and what the run says of them.

    images: uint8 [N, H, W, 3], as the run's own decoder reads `files`. files: N encoded images, or none where the
    images never were files (`keras:` data sets): then PNG files of `images` serve. probabilities: float32 [N, C] of
    the run's predictor on `images`. targets: int [N], indices into the labels.
    """

    images: np.ndarray
    files: tuple[Path, ...]
    probabilities: np.ndarray
    targets: np.ndarray


class ExportRejected(GateError):
    """An artefact lost too much and was removed; `artefacts` holds the results of all.

    `result` is the typed result of the command; its workflow sets it.
    """

    result: Any = None

    def __init__(self, message: str, artefacts: list[dict[str, Any]]) -> None:
        super().__init__(message, "allow more with --max-drop, or choose another format or quantisation")
        self.artefacts = artefacts


class _Rejected(Exception):
    """Leaves the block that would have put the artefact in its place."""


def export_formats(
    predictor: Any,
    spec: ExportSpec,
    reference: Reference,
    request: ExportRequest,
    provenance: Mapping[str, Any],
    reporter: Reporter,
) -> list[dict[str, Any]]:
    """Write, verify and install every requested format; return the contract's `artefacts`.

    predictor: keras.Model, uint8 [N, H, W, 3] -> float32 probabilities [N, C]. provenance: goes into `export.json` as
    it is (run, data fingerprint, versions …). Raises `UsageError` before any work where a format cannot be written
    here, `ArtefactError` where an artefact does not load again, and `ExportRejected` (exit 5) after all formats where
    one lost too much: that one is not there any more.
    """
    check_formats(request.formats, request.quantize)
    check_places(request.out, request.formats)
    results, complaints = [], []
    for name in dict.fromkeys(request.formats):
        reporter.debug(f"writing {name}")
        job = _Job(FORMATS[name], spec, reference, request, provenance)
        result, reasons = job.run(predictor, reporter)
        results.append(result)
        complaints += [f"{name}: {reason}" for reason in reasons]
    if complaints:
        raise ExportRejected("; ".join(complaints), results)
    return results


def check_places(out: Path, formats: tuple[str, ...]) -> None:
    """Raise `UsageError` where something stands that no export wrote: it is somebody's, and stays.

    An earlier export gives way to a new one.
    """
    for place in (out / name for name in formats):
        with atomic.room_errors(place):
            if place.is_symlink() or (place.exists() and not place.is_dir()):
                raise UsageError(f"{place} is a file or a link, and no folder", "name another --out, or move it away")
            if place.is_dir() and any(place.iterdir()) and not (place / EXPORTED).exists():
                raise UsageError(f"{place} holds files that are no export", "name another --out, or move them away")


@dataclass(frozen=True, slots=True)
class _Job:
    """One format of one request."""

    row: Format
    spec: ExportSpec
    reference: Reference
    request: ExportRequest
    provenance: Mapping[str, Any]

    @property
    def place(self) -> Path:
        return self.request.out / self.row.name

    def run(self, predictor: Any, reporter: Reporter) -> tuple[dict[str, Any], list[str]]:
        """The result, and the reasons why the artefact was removed (none where it stands)."""
        try:
            with atomic.replaced_folder(self.place) as folder:
                artefact = folder / self.row.entry
                self.row.write(Writing(predictor, self.spec, artefact, self.request.quantize, self.request.samples))
                size = size_of(folder)
                question = Question(self.reference.images, self.reference.files, self.spec)
                answer = ask(self.row.name, artefact, question, reporter)
                result = self._result(answer, size)
                if reasons := self._reasons(result):
                    raise _Rejected
                self._write_companions(folder, result, answer)
                if self.place.is_dir() and not self._was_here():
                    reporter.info(f"{self.place}: this replaces an earlier export of another run or precision")
        except _Rejected:
            if self._was_here():
                shutil.rmtree(self.place, ignore_errors=True)
            elif self.place.is_dir():
                reporter.warning(f"{self.place} keeps what an earlier export of another run or precision put there")
        return result, reasons

    def _was_here(self) -> bool:
        """Whether an earlier export put the same thing here: that would be rejected as well.

        Another one stays: a night's failure must not take away what yesterday's export serves.
        """
        try:
            earlier = read_json(self.place / EXPORTED)
        except ArtefactError:  # missing or damaged: nobody knows what this was, and a new export may replace it
            return False
        ours = {"run": self.spec.origin.get("run"), "quantize": self.request.quantize}
        return isinstance(earlier, dict) and {name: earlier.get(name) for name in ours} == ours

    def _result(self, answer: Answer, size: int) -> dict[str, Any]:
        self._check(answer)
        original = self.reference.probabilities
        predicted, expected = answer.probabilities.argmax(axis=1), original.argmax(axis=1)
        return {
            "format": self.row.name,
            "path": str(self.place / self.row.entry),
            "bytes": size,
            "max_abs_diff": _largest(answer.probabilities, original),
            "max_abs_diff_bytes": _largest(answer.probabilities_bytes, original),
            "label_agreement": float(np.mean(predicted == expected)),
            "label_agreement_bytes": float(np.mean(answer.probabilities_bytes.argmax(axis=1) == expected)),
            "accuracy_original": float(np.mean(expected == self.reference.targets)),
            "accuracy_exported": float(np.mean(predicted == self.reference.targets)),
            "latency_ms": {f"batch_{batch}": round(value, 3) for batch, value in answer.latency_ms.items()},
            "load_seconds": round(answer.load_seconds, 3),
            "examples": len(original),
        }

    def _check(self, answer: Answer) -> None:
        """What no bound can excuse: other labels, another shape, or something that is not a number."""
        if answer.labels is not None and answer.labels != self.spec.labels:
            raise ArtefactError(f"{self.row.name}: other labels came back: {list(answer.labels)}")
        shape = self.reference.probabilities.shape
        for found in (answer.probabilities, answer.probabilities_bytes):
            if found.shape != shape:
                raise ArtefactError(f"{self.row.name}: answered with shape {found.shape} where the run has {shape}")
            if not np.isfinite(found).all():
                raise ArtefactError(f"{self.row.name}: answered with numbers that are not finite")

    def _reasons(self, result: dict[str, Any]) -> list[str]:
        reasons = []
        difference = result["max_abs_diff"]
        if self.request.quantize == "none" and not difference <= PARITY:
            reasons.append(f"probabilities differ from the run's by {difference:.2g}, and {PARITY:g} is allowed")
        drop = result["accuracy_original"] - result["accuracy_exported"]
        allowed = self.request.allowed_drop(result["examples"])
        if allowed is not None and not drop <= allowed + ROUNDING:
            reasons.append(f"accuracy drops by {drop:.4f}, and --max-drop allows {allowed:g}")
        return reasons

    def _write_companions(self, folder: Path, result: dict[str, Any], answer: Answer) -> None:
        """labels.txt, and export.json: the result with its path relative to this folder, and where it all came from."""
        seal = seal_of(folder)
        atomic.write_text(folder / "labels.txt", labels_text(self.spec.labels))
        atomic.write_json(
            folder / EXPORTED,
            {
                **result,
                "path": self.row.entry or ".",
                "quantize": self.request.quantize,
                **self.spec.card(),
                **self.provenance,
                SEAL: seal,
            },
        )


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder; one that stands there under two names counts once."""
    found = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return sum({(file.st_dev, file.st_ino): file.st_size for file in found}.values())


def _largest(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.max(np.abs(found.astype(np.float64) - expected)))
