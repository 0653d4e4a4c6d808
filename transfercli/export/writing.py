"""Writing of artefacts: a format that TensorFlow writes is written by a child process if Keras runs on another backend.

The child rebuilds the model from a safetensors artefact, which is the same on every backend.
"""

from __future__ import annotations

import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from transfercli.errors import UsageError
from transfercli.export.child import Task, run_child
from transfercli.export.formats.registry import FORMATS
from transfercli.export.formats.safetensors import rebuild, write_safetensors
from transfercli.export.spec import NeedsTensorFlow, WriteJob
from transfercli.reporting import Reporter

MODEL, SAMPLES = "model.safetensors", "samples.npy"
TIMEOUT = 3600.0  # seconds; the conversion of the largest networks takes minutes
WRITE = Task(
    "write",
    work="write the artefact",
    late="the artefact was not written",
    failed="the artefact could not be written",
    hint="run export again with KERAS_BACKEND=tensorflow",
)


def write(name: str, job: WriteJob, reporter: Reporter) -> None:
    """Write an artefact of format `name`.

    Raises `UsageError` if the network needs TensorFlow and it is not installed, `ArtefactError`, with the last line of
    its output, if a child process is needed and fails, and `OutOfSpaceError` if it has too little memory or disk space.
    """
    import keras

    row = FORMATS[name]
    if "tensorflow" in row.needs and keras.backend.backend() != "tensorflow":
        _write_in_child(name, job, reporter)
        return
    try:
        row.write(job)
    except NeedsTensorFlow as needed:
        if find_spec("tensorflow") is None:
            raise UsageError(
                f"--format {name}: {needed} needs TensorFlow, which is not installed",
                "pip install tensorflow, or choose another format, such as keras or safetensors",
            ) from None
        _write_in_child(name, job, reporter)


def _write_in_child(name: str, job: WriteJob, reporter: Reporter) -> None:
    reporter.debug(f"{name} is written by a process in which Keras runs on TensorFlow")
    with tempfile.TemporaryDirectory(prefix="transfercli-write-") as folder:
        scratch = Path(folder)
        write_safetensors(WriteJob(job.predictor, job.spec, scratch / MODEL))
        if job.samples is not None:
            np.save(scratch / SAMPLES, job.samples)
        run_child(
            WRITE,
            name,
            ["-m", "transfercli.export.writing", name, job.quantize, job.path.absolute()],
            scratch,
            reporter,
            timeout=TIMEOUT,
            environment={"KERAS_BACKEND": "tensorflow"},
        )


def _main(name: str, quantize: str, path: Path) -> None:
    """Write an artefact from the files in the working folder; this is the main function of the child process."""
    model, spec = rebuild(Path(MODEL))
    assert spec is not None, "the parent writes a card"
    samples = np.load(SAMPLES, allow_pickle=False) if Path(SAMPLES).exists() else None
    FORMATS[name].write(WriteJob(model, spec, path, quantize, samples))


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
