"""Writing of artefacts: a format that TensorFlow writes is written by a child process if Keras runs on another backend.

The child rebuilds the model from a safetensors artefact, which is the same on every backend.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from transfercli.errors import ArtefactError, OutOfSpaceError
from transfercli.export.formats.registry import FORMATS
from transfercli.export.formats.safetensors import rebuild, write_safetensors
from transfercli.export.spec import WriteJob
from transfercli.io.subprocesses import run_python
from transfercli.reporting import Reporter

MODEL, SAMPLES = "model.safetensors", "samples.npy"
TIMEOUT = 3600.0  # seconds; the conversion of the largest networks takes minutes


def write(name: str, job: WriteJob, reporter: Reporter) -> None:
    """Write an artefact of format `name`.

    Raises `ArtefactError`, with the last line of its output, if a child process is needed and fails, and
    `OutOfSpaceError` if it has too little memory or disk space.
    """
    import keras

    if "tensorflow" not in FORMATS[name].needs or keras.backend.backend() == "tensorflow":
        FORMATS[name].write(job)
    else:
        _write_in_child(name, job, reporter)


def _write_in_child(name: str, job: WriteJob, reporter: Reporter) -> None:
    reporter.debug(f"{name} is written by a process in which Keras runs on TensorFlow")
    with tempfile.TemporaryDirectory(prefix="transfercli-write-") as folder:
        scratch = Path(folder)
        write_safetensors(WriteJob(job.predictor, job.spec, scratch / MODEL))
        if job.samples is not None:
            np.save(scratch / SAMPLES, job.samples)
        task = f"write {name}"
        ended = run_python(
            ["-m", "transfercli.export.writing", name, job.quantize, job.path.absolute()],
            scratch,
            timeout=TIMEOUT,
            tick=partial(reporter.progress, task, 0, 1, "artefacts"),
            environment={"KERAS_BACKEND": "tensorflow"},
        )
        reporter.progress(task, 1, 1, "artefacts")
    if ended.ran_out_of_space:
        raise OutOfSpaceError(
            f"{name}: there was not enough memory or disk space to write the artefact",
            "free some and run the same command again; the run itself is not affected",
        )
    if ended.returncode:
        raise ArtefactError(
            f"{name}: the artefact could not be written: {ended.last_line or f'exit status {ended.returncode}'}",
            "run export again with KERAS_BACKEND=tensorflow; the run itself is not affected",
        )


def _main(name: str, quantize: str, path: Path) -> None:
    """Write an artefact from the files in the working folder; this is the main function of the child process."""
    model, spec = rebuild(Path(MODEL))
    assert spec is not None, "the parent writes a card"
    samples = np.load(SAMPLES, allow_pickle=False) if Path(SAMPLES).exists() else None
    FORMATS[name].write(WriteJob(model, spec, path, quantize, samples))


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
