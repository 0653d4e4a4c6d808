"""The exporter: it writes artefacts into temporary folders, verifies each against the run, then installs it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.config.types import REGRESSION
from transfercli.errors import ArtefactError, GateError, UsageError
from transfercli.export.artefact_files import EXPORTED
from transfercli.export.formats.embedded_spec import companions
from transfercli.export.formats.registry import FORMATS, PARITY, Format, check_formats, check_installed
from transfercli.export.spec import ExportSpec, Network, WriteJob
from transfercli.export.verify.checksums import CHECKSUMS, checksums_of
from transfercli.export.verify.measures import Measures, measures_for, unit_of
from transfercli.export.verify.parity import ParityInput, ParityOutput, run_in_child
from transfercli.export.writing import write
from transfercli.io import atomic
from transfercli.io.bounded import read_json
from transfercli.reporting import Reporter

SCORE_PARITY = 0.01  # largest difference of out-of-distribution scores, in the unit of `_Job._score_parity`
# Keys of an artefact's result that need its runtime; null if it is not installed.
MEASURED = (
    "max_abs_diff",
    "max_abs_diff_bytes",
    "label_agreement",
    "label_agreement_bytes",
    "latency_ms",
    "load_seconds",
)
ROUNDING = 1e-9  # tolerance for the difference of two scores


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Options of an export.

    formats: keys of `FORMATS`. out: the folder with one folder for each format. max_drop: largest drop in accuracy or,
    with several labels an image, in mean average precision.
    samples: uint8 [M, H, W, 3], training images; needed for int8 only. network: of the run, for formats that write the
    network of another library.
    """

    formats: tuple[str, ...]
    out: Path
    quantize: str = "none"
    max_drop: float | None = None
    samples: np.ndarray | None = None
    network: Network | None = None

    def allowed_drop(self, measures: Measures, examples: int) -> float | None:
        """Return `max_drop`; if it is None, for int8 the default of the measures, and None otherwise."""
        if self.max_drop is None and self.quantize == "int8":
            return measures.default_drop(examples)
        return self.max_drop


@dataclass(frozen=True, slots=True)
class Reference:
    """Real images and the run's predictions of them.

    images: uint8 [N, H, W, 3], as the run's own decoder reads `files`. files: N encoded images; empty for images that
    are not files (`keras:` data sets), which are then written as PNG files. probabilities: float32 [N, C] of the run's
    predictor on `images`. targets: int [N], indices into the labels, or int [N, L], as in `Split`. known: number of
    images that the run trained on or an ancestor learnt from. unknown: float [N], the run's out-of-distribution scores;
    None if it has none.
    """

    images: np.ndarray
    files: tuple[Path, ...]
    probabilities: np.ndarray
    targets: np.ndarray
    known: int = 0
    unknown: np.ndarray | None = None


class ExportRejected(GateError):
    """An artefact differs too much from the run, and was removed.

    artefacts: the results of all formats; result: the typed result of the command, set by its workflow
    """

    result: Any = None

    def __init__(self, message: str, artefacts: list[dict[str, Any]]) -> None:
        super().__init__(message, "allow more with --max-drop, or choose another format or quantisation")
        self.artefacts = artefacts


class _Rejected(Exception):
    """Raised to leave `atomic.replaced_folder` without installing the artefact."""


def export_formats(
    predictor: Any,
    spec: ExportSpec,
    reference: Reference,
    request: ExportRequest,
    provenance: Mapping[str, Any],
    reporter: Reporter,
) -> list[dict[str, Any]]:
    """Write, verify and install every requested format; return the contract's `artefacts`.

    predictor: keras.Model, as in `WriteJob`. provenance: copied into `export.json`
    (run, data fingerprint, versions …). Raises `UsageError` before any work if a format cannot be written here,
    `ArtefactError` if an artefact does not load again, and `ExportRejected` (exit 5), after all formats are written, if
    one differs too much from the run; that one is removed.
    """
    check_formats(request.formats, request.quantize)
    _check_measurable(request)
    check_output_folders(request.out, request.formats)
    results, failures = [], []
    for name in dict.fromkeys(request.formats):
        reporter.debug(f"writing {name}")
        row = FORMATS[name]
        carried = spec if row.carries_score(request.quantize) else replace(spec, unknown=None)
        job = _Job(row, carried, reference, request, provenance)
        result, reasons = job.run(predictor, reporter)
        results.append(result)
        failures += [f"{name}: {reason}" for reason in reasons]
    if failures:
        raise ExportRejected("; ".join(failures), results)
    return results


def _check_measurable(request: ExportRequest) -> None:
    """Raise `UsageError` if `--max-drop` limits the accuracy of a format whose runtime is not installed."""
    for row in (FORMATS[name] for name in request.formats):
        if row.missing_runtime and request.max_drop is not None:
            check_installed(row, row.runtime, f"--max-drop with --format {row.name}")


def check_output_folders(out: Path, formats: tuple[str, ...]) -> None:
    """Raise `UsageError` if an output folder holds anything but an earlier export, which a new one may replace."""
    for folder in (out / name for name in formats):
        with atomic.write_errors(folder):
            if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
                raise UsageError(f"{folder} is a file or a link, not a folder", "name another --out, or move it away")
            if folder.is_dir() and any(folder.iterdir()) and not (folder / EXPORTED).exists():
                raise UsageError(
                    f"{folder} contains files but is not an export", "name another --out, or move the files away"
                )


@dataclass(frozen=True, slots=True)
class _Job:
    """One format of one request."""

    row: Format
    spec: ExportSpec
    reference: Reference
    request: ExportRequest
    provenance: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        return self.request.out / self.row.name

    @property
    def measures(self) -> Measures:
        return measures_for(self.spec.thresholds, self.spec.threshold, self.spec.task)

    def run(self, predictor: Any, reporter: Reporter) -> tuple[dict[str, Any], list[str]]:
        """Return the result, and the reasons for removing the artefact; without any it is installed."""
        try:
            with atomic.replaced_folder(self.folder) as temporary:
                artefact = temporary / self.row.entry
                model, request = self._outputs_of(predictor), self.request
                job = WriteJob(model, self.spec, artefact, request.quantize, request.samples, request.network)
                write(self.row.name, job, reporter)
                result, reasons = self._proof(artefact, folder_bytes(temporary), reporter)
                if reasons:
                    raise _Rejected
                self._write_companions(temporary, result)
                if self.folder.is_dir() and not self._replaces_same_export():
                    reporter.info(f"{self.folder}: this replaces an earlier export of another run or precision")
        except _Rejected:
            if self._replaces_same_export():
                shutil.rmtree(self.folder, ignore_errors=True)
            elif self.folder.is_dir():
                reporter.warning(f"{self.folder} keeps an earlier export of another run or precision")
        return result, reasons

    def _proof(self, artefact: Path, size: int, reporter: Reporter) -> tuple[dict[str, Any], list[str]]:
        """Return the result, and the reasons for removing the artefact, from its outputs in its own runtime.

        If that is not installed, nothing is measured, with a warning.
        """
        if missing := self.row.missing_runtime:
            reporter.warning(
                f"{self.row.name} is not proved: {' and '.join(missing)} are not installed, so the artefact was not"
                " run; its tensors were read again and are those of the run"
                f" (pip install 'transfercli[{self.row.extra}]')"
            )
            return self._unproved_result(size), []
        inputs = ParityInput(self.reference.images, self.reference.files, self.spec)
        result = self._result(run_in_child(self.row.name, artefact, inputs, reporter), size)
        return result, self._reasons(result)

    def _outputs_of(self, predictor: Any) -> Any:
        """Return the predictor with the outputs that the format carries."""
        from transfercli.models.inference_model import without_score

        return predictor if self.spec.unknown else without_score(predictor)

    def _replaces_same_export(self) -> bool:
        """Return True if the folder holds an export of the same run and precision, which is rejected as well.

        After a rejection, an export of another run or precision stays, because it may be in use.
        """
        try:
            earlier = read_json(self.folder / EXPORTED)
        except ArtefactError:  # missing or damaged: its origin is unknown, and a new export may replace it
            return False
        same = {"run": self.spec.origin.get("run"), "quantize": self.request.quantize}
        return isinstance(earlier, dict) and {name: earlier.get(name) for name in same} == same

    def _result(self, outputs: ParityOutput, size: int) -> dict[str, Any]:
        self._check(outputs)
        original, measures = self.reference.probabilities, self.measures
        difference = _max_difference(outputs.probabilities, original)
        scores = measures.scores(outputs.probabilities, self.reference.targets)
        return {
            **self._facts(size, proved=True),
            "max_abs_diff": difference,
            "max_abs_diff_bytes": _max_difference(outputs.probabilities_bytes, original),
            "label_agreement": measures.agreement(outputs.probabilities, original),
            "label_agreement_bytes": measures.agreement(outputs.probabilities_bytes, original),
            **measures.closeness(original, difference),
            **{f"{name}_exported": value for name, value in scores.items()},
            "latency_ms": {f"batch_{batch}": round(value, 3) for batch, value in outputs.latency_ms.items()},
            "load_seconds": round(outputs.load_seconds, 3),
            **self._score_parity(outputs),
        }

    def _unproved_result(self, size: int) -> dict[str, Any]:
        measures = self.measures
        others = [
            *measures.closeness(self.reference.probabilities, 0.0),
            *(f"{name}_exported" for name in measures.names),
        ]
        return self._facts(size, proved=False) | dict.fromkeys([*MEASURED, *others])

    def _facts(self, size: int, *, proved: bool) -> dict[str, Any]:
        """Return what is known of an artefact without running it."""
        scores = self.measures.scores(self.reference.probabilities, self.reference.targets)
        return {
            "format": self.row.name,
            "path": str(self.folder / self.row.entry),
            "bytes": size,
            "proved": proved,
            **{f"{name}_original": value for name, value in scores.items()},
            "examples": len(self.reference.probabilities),
            "known": self.reference.known,
        }

    def _score_parity(self, outputs: ParityOutput) -> dict[str, float]:
        """Return how well the out-of-distribution scores agree with the run's; nothing if the format has none.

        The difference is in units of the distance from the median score of the images to the threshold.
        """
        if self.spec.unknown is None or outputs.unknown is None or self.reference.unknown is None:
            return {}
        expected, limit = self.reference.unknown.astype(np.float64), self.spec.unknown["threshold"]
        unit = max(abs(limit - float(np.median(expected))), 1e-6 * abs(limit), 1e-30)
        return {
            "unknown_max_diff": _max_difference(outputs.unknown, expected) / unit,
            "strange_agreement": float(np.mean((outputs.unknown > limit) == (expected > limit))),
        }

    def _check(self, outputs: ParityOutput) -> None:
        """Raise `ArtefactError` for other labels or thresholds, another shape or values that are not finite."""
        if outputs.labels is not None and outputs.labels != self.spec.labels:
            raise ArtefactError(f"{self.row.name}: the artefact has other labels than the run: {list(outputs.labels)}")
        if outputs.thresholds != self.spec.thresholds:
            raise ArtefactError(f"{self.row.name}: the artefact has other thresholds than the run")
        shape = self.reference.probabilities.shape
        for probabilities in (outputs.probabilities, outputs.probabilities_bytes):
            if probabilities.shape != shape:
                raise ArtefactError(
                    f"{self.row.name}: the artefact returned shape {probabilities.shape}; the run returns {shape}"
                )
            if not np.isfinite(probabilities).all():
                raise ArtefactError(f"{self.row.name}: the artefact returned values that are not finite")

    def _reasons(self, result: dict[str, Any]) -> list[str]:
        reasons = []
        difference = result["max_abs_diff"]
        what, limit = "probabilities", PARITY
        if self.spec.task == REGRESSION:
            what, limit = "numbers", PARITY * unit_of(self.reference.probabilities)
        if self.request.quantize == "none" and not difference <= limit:
            reasons.append(f"{what} differ from the run's by {difference:.2g}, and {limit:.3g} is allowed")
        apart = result.get("unknown_max_diff", 0.0)
        if self.request.quantize == "none" and not apart <= SCORE_PARITY:
            reasons.append(
                f"out-of-distribution scores differ from the run's by {apart:.2g} of the distance to their threshold,"
                f" and {SCORE_PARITY:g} is allowed"
            )
        return reasons + self._reasons_of_drop(result)

    def _reasons_of_drop(self, result: dict[str, Any]) -> list[str]:
        """Return the reason if the score that `--max-drop` limits drops by more, else nothing."""
        allowed = self.request.allowed_drop(self.measures, result["examples"])
        name = next((name for name in reversed(self.measures.names) if result[f"{name}_original"] is not None), None)
        if allowed is None or name is None:
            return []
        drop = result[f"{name}_original"] - result[f"{name}_exported"]
        return [] if drop <= allowed + ROUNDING else [f"{name} drops by {drop:.4f}, and --max-drop allows {allowed:g}"]

    def _write_companions(self, folder: Path, result: dict[str, Any]) -> None:
        """Write labels.txt, any thresholds.json, and export.json.

        That is the result with a relative path, the card, provenance and checksums.
        """
        checksums = checksums_of(folder)
        for name, text in companions(self.spec).items():
            atomic.write_text(folder / name, text)
        atomic.write_json(
            folder / EXPORTED,
            {
                **result,
                "path": self.row.entry or ".",
                "quantize": self.request.quantize,
                **self.spec.card(),
                **self.provenance,
                CHECKSUMS: checksums,
            },
        )


def folder_bytes(folder: Path) -> int:
    """Return the size of all files in a folder, in bytes; hard links to the same file count once."""
    files = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return sum({(file.st_dev, file.st_ino): file.st_size for file in files}.values())


def _max_difference(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.max(np.abs(actual.astype(np.float64) - expected)))
