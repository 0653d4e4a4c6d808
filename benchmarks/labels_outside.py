"""Artefacts of several labels outside the program: the labels of scenes, by the code of the model card alone.

Usage: python -m benchmarks.labels_outside [--images 500] [--epochs 12] [--formats saved_model onnx litert openvino ...]

Trains small_cnn on scenes of handwritten digits (scikit-learn's), with thresholds chosen for F1, and exports it. For
each format a new process runs the code blocks of the model card, with the format's own runtime and without this
package, on scenes that the run was not trained on. Prints a table: scenes with the same set of labels as `predict`, the
largest difference of probabilities, and the smallest distance of a probability from its threshold. A second table has
the results of int8 exports: mean average precision, and sets of labels that stay the same.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from transfercli.data.samples.writing import write_sample
from transfercli.reporting import Reporter
from transfercli.workflows.export.export import ExportRunRequest, export_run
from transfercli.workflows.predict.predict import PredictRequest, predict_images
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.job import TrainRequest
from transfercli.workflows.train.train import train

FORMATS = ("saved_model", "keras", "safetensors", "onnx", "litert", "openvino")
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
# The process that runs the code of the card; its folder is that of the artefacts.
PLAIN = """\
import contextlib, io, json, sys

blocks, files = json.loads(sys.stdin.read())
names, results = {}, []
exec(blocks["pixels"], names)
exec(blocks["predict"], names)
for file in files:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(blocks["labels"].replace('"photo.jpg"', repr(file)), names)
    results.append([out.getvalue(), names["probabilities"].tolist()])
assert "transfercli" not in sys.modules
print(json.dumps(results))
"""


@dataclass(frozen=True)
class Outside:
    """Answers of an artefact outside the program. sets: of labels, one an image; probabilities: float64 [N, L]."""

    sets: list[list[str]]
    probabilities: np.ndarray


def blocks_of(card: Path, name: str) -> dict[str, str]:
    """Return the code blocks of a model card that read an image, load the artefact `name`, and list the labels."""
    text = card.read_text(encoding="utf-8")
    reading = BLOCK.search(text)
    loading = BLOCK.search(text, text.index(f"\n**{name.replace('_', chr(92) + '_')}**:"))
    labels = BLOCK.search(text, text.index("\n**The labels of an image**"))
    assert reading is not None
    assert loading is not None
    assert labels is not None
    own = re.sub(r'"\w+/(\w+\.)', rf'"{name}/\1', labels[1])
    return {"pixels": reading[1], "predict": loading[1], "labels": own}


def run_outside(exports: Path, name: str, files: Sequence[str]) -> Outside:
    """Run the code of the card for an artefact in a new process, without this package, on image files."""
    request = json.dumps([blocks_of(exports / "README.md", name), list(files)])
    command = [sys.executable, "-I", "-c", PLAIN]
    ended = subprocess.run(command, input=request, cwd=exports, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{name}: {ended.stderr.strip()[-2000:]}")
    results = json.loads(ended.stdout.splitlines()[-1])
    sets = [json.loads(printed.replace("'", '"')) for printed, _ in results]
    return Outside(sets, np.array([probabilities for _, probabilities in results]))


def train_on_scenes(work: Path, images: int, epochs: int) -> Path:
    """Train on scenes in `work`, with thresholds for F1, and return the run folder."""
    write_sample("digits-scenes", work / "scenes", images)
    config = {
        "name": "scenes",
        "data": {"train": str(work / "scenes/labels.csv"), "columns": {"label": "labels"}, "label_separator": ";"},
        "model": {"base": "small_cnn", "weights": "none", "head": {"pooling": "max"}},
        "training": {"epochs": epochs},
        "evaluation": {"thresholds": "f1"},
    }
    (work / "scenes.yaml").write_text(yaml.safe_dump(config))
    return train(TrainRequest("pretrain", work / "scenes.yaml", work / "runs"), Reporter()).run  # type: ignore[union-attr]


def main(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        run = train_on_scenes(work, 4 * arguments.images, arguments.epochs)
        stored = StoredRun.find(str(run), work / "runs", Reporter())
        unseen = [record.path for record in stored.images if record.split != "train"][: arguments.images]
        files = [str(work / "scenes" / path) for path in unseen]
        answers = list(predict_images(PredictRequest(str(run), work / "runs", tuple(files), 10), Reporter()).answers)
        sets = [sorted(label for label, _ in answer.answered or ()) for answer in answers]
        expected = np.array([[dict(answer.top)[label] for label in stored.labels] for answer in answers])
        margins = np.abs(expected - stored.label_trust.thresholds)
        export_run(ExportRunRequest(str(run), work / "runs", tuple(arguments.formats), out=work / "out"), Reporter())
        print("| format | scenes | same set of labels | largest difference | nearest to a threshold |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for name in arguments.formats:
            found = run_outside(work / "out", name, files)
            same = sum(sorted(one) == other for one, other in zip(found.sets, sets, strict=True))
            difference = np.abs(found.probabilities - expected).max()
            print(f"| {name} | {len(files)} | {same} | {difference:.1e} | {margins.min():.1e} |", flush=True)
        print_int8(run, work)


def print_int8(run: Path, work: Path) -> None:
    """Print the table of int8 exports, also of one that lost too much."""
    request = ExportRunRequest(str(run), work / "runs", ("onnx", "litert"), "int8", work / "int8", max_drop=1.0)
    columns = ("map_original", "map_exported", "accuracy_original", "accuracy_exported", "label_agreement")
    print(f"\n| int8 | {' | '.join(columns)} |\n| --- |{' ---: |' * len(columns)}")
    for result in export_run(request, Reporter()).artefacts:
        print(f"| {result['format']} | {' | '.join(f'{result[name]:.4f}' for name in columns)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--formats", nargs="+", default=FORMATS, type=str)
    main(parser.parse_args())
