"""Parts of `runs why` beside the truth: trainings with one change only, on Fashion-MNIST and on the digits.

Usage: python -m benchmarks.why FASHION OUT.json [--parts fashion digits fine-tuned cost] [--repeats 10] [--seeds 2]

FASHION holds `{train,test}/CLASS` of all ten classes, with at least 500 and 200 images each (benchmarks/README.md).
Every repeat draws images of five classes for a run A; run B has three changes: images of one class relabelled as
another, new images, and removed images. Prints Markdown tables, and writes all values to OUT.json:

- fashion, digits: the head is solved (`linear_probe`) on a small_cnn that was trained on the five other classes;
- fine-tuned: as fashion, with half of the repeats, but every run is trained by gradients in all layers (`full`); the
  truth is the mean of `--seeds` trainings, and has their noise, too. The parts are also given by heads on the trained
  base of A and of B in place of the initial one;
- cost: processor seconds for 2,000 images, 512 features, 10 classes and 5 changes, beside those of one probe.

The truth of a change is the mean of two differences between real trainings: A with this change alone minus A, and B
minus B without this change. `inside` is the share of repeats in which the interval of the part holds it, `signs` the
share with the right sign, among effects of at least a point.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import yaml

from transfercli.data.samples.writing import write_sample
from transfercli.evaluation.metrics.registry import value_of
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.compare import compared_images
from transfercli.workflows.compare.attribution import WhyRequest
from transfercli.workflows.compare.networks import Networks
from transfercli.workflows.compare.why import explain_difference
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.train import TrainRequest, train

CHANGES = ("relabelled", "added", "removed")
Rows = list[tuple[str, str, str]]  # path, label, split


@dataclass(frozen=True)
class Pool:
    """Images to draw from. files: class -> its images for training and validation; test: those for the test."""

    files: dict[str, list[Path]]
    test: dict[str, list[Path]]
    source: Path


@dataclass(frozen=True)
class Sizes:
    """Images per class in training and validation, and the numbers of changed images."""

    training: int
    validation: int
    test: int
    relabelled: int
    added: int
    removed: int


SIZES = {"fashion": Sizes(60, 15, 200, 20, 40, 40), "digits": Sizes(40, 10, 35, 12, 40, 40)}


def fashion_pool(folder: Path, work: Path) -> Pool:
    """Return the pool of five classes of Fashion-MNIST; the five others are the source."""
    names = sorted(path.name for path in (folder / "train").iterdir())
    target, source = names[::2], names[1::2]
    for split in ("train", "test"):
        for name in source:
            link = work / "source" / split / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to((folder / split / name).resolve())
    return _pool(folder, target, work / "source")


def digits_pool(work: Path) -> Pool:
    """Return the pool of the digits 5 to 9; 0 to 4 are the source."""
    for name in ("digits-source", "digits-target"):
        write_sample(name, work / name)
    target = sorted(path.name for path in (work / "digits-target" / "train").iterdir())
    return _pool(work / "digits-target", target, work / "digits-source")


def _pool(folder: Path, classes: Sequence[str], source: Path) -> Pool:
    files = {
        split: {name: sorted((folder / split / name).glob("*.png")) for name in classes} for split in ("train", "test")
    }
    return Pool(files["train"], files["test"], source)


def draw(pool: Pool, sizes: Sizes, seed: int) -> dict[frozenset[str], Rows]:
    """Return the table of images with each set of changes."""
    rng = np.random.default_rng(seed)
    classes = sorted(pool.files)
    wrong, shown_as = rng.permutation(classes)[:2]
    drawn = {name: [str(pool.files[name][i]) for i in rng.permutation(len(pool.files[name]))] for name in classes}
    pairs = [(path, name) for name in classes for path in drawn[name][: sizes.training]]
    validation = [
        (path, name, "validation")
        for name in classes
        for path in drawn[name][sizes.training : sizes.training + sizes.validation]
    ]
    spare = [(path, name) for name in classes for path in drawn[name][sizes.training + sizes.validation :]]
    added = [spare[i] for i in rng.permutation(len(spare))[: sizes.added]]
    relabelled = {path for path, name in pairs if name == wrong}
    relabelled = {*sorted(relabelled)[: sizes.relabelled]}
    others = [pair for pair in pairs if pair[0] not in relabelled]
    removed = {others[i] for i in rng.permutation(len(others))[: sizes.removed]}
    test = [(str(path), name, "test") for name in classes for path in pool.test[name][: sizes.test]]
    tables = {}
    for bits in range(2 ** len(CHANGES)):
        made = frozenset(name for number, name in enumerate(CHANGES) if bits >> number & 1)
        kept = [pair for pair in pairs if "removed" not in made or pair not in removed]
        kept += added if "added" in made else []
        labels = [str(shown_as) if "relabelled" in made and path in relabelled else str(name) for path, name in kept]
        training = [(path, label, "train") for (path, _), label in zip(kept, labels, strict=True)]
        tables[made] = [*training, *validation, *test]
    return tables


class Lab:
    """Trainings and their accuracies on the test images, in a folder of their own."""

    def __init__(self, work: Path, pool: Pool, strategy: str, epochs: int) -> None:
        self.work, self.strategy, self.epochs = work, strategy, epochs
        self.settings = {"data": {"image_size": 32}, "compute": {"cache_dir": str(work / "cache")}}
        source = {"train": str(pool.source / "train"), "test": None, "validation": 0.1, "image_size": 32}
        self._train("source", "pretrain", {"data": source, "model": {"weights": "none"}, "training": {"epochs": 6}})

    def _train(self, name: str, command: str, sections: dict[str, Any]) -> Path:
        model = {"base": "small_cnn", **sections.pop("model")}
        config = self.work / f"{name}.yaml"
        config.write_text(yaml.safe_dump({"name": name, **self.settings, "model": model, **sections}))
        result = train(TrainRequest(command, config, self.work / "runs"), Reporter())  # type: ignore[arg-type]
        return Path(result.as_json()["run"])

    def run(self, name: str, rows: Rows, seed: int) -> Path:
        """Train on a table of images and return the run folder."""
        table = self.work / f"{name}.csv"
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([("path", "label", "split"), *rows])
        sections = {
            "seed": seed,
            "data": {"train": str(table), "validation": 0.0, "test": None, "image_size": 32},
            "model": {"weights": {"run": "source"}},
            "transfer": {"strategy": self.strategy},
            "training": {"epochs": self.epochs},
        }
        del sections["data"]["validation"], sections["data"]["test"]
        return self._train(name, "finetune", sections)

    def accuracy(self, run: Path) -> float:
        """Return the accuracy on the run's test images."""
        stored = StoredRun(RunFolder(run))
        split = stored.split("test")
        probabilities = ImageFeatures(stored).outputs(split).probabilities
        value = value_of("accuracy", split.targets, probabilities.astype(float))
        assert value is not None
        return value


def measure(lab: Lab, pool: Pool, sizes: Sizes, repeat: int, trainings: int = 1) -> dict[str, Any]:
    """Return the parts by `runs why` and the truth of one repeat; trainings: seeds that the truth is the mean of."""
    tables = draw(pool, sizes, repeat)
    everything = frozenset(CHANGES)
    wanted = {frozenset(), everything, *(frozenset({c}) for c in CHANGES), *(everything - {c} for c in CHANGES)}
    values, runs = {}, {}
    for made in wanted:
        name = f"r{repeat}-{'-'.join(sorted(made)) or 'none'}"
        trained = [lab.run(f"{name}-s{seed}", tables[made], seed) for seed in range(trainings)]
        values[made] = float(np.mean([lab.accuracy(run) for run in trained]))
        runs[made] = trained[0]
    truth = {}
    for change in CHANGES:
        first = values[frozenset({change})] - values[frozenset()]
        truth[change] = (first + values[everything] - values[everything - {change}]) / 2
    request = WhyRequest(str(runs[frozenset()]), str(runs[everything]), lab.work / "runs")
    started = time.perf_counter()
    result = explain_difference(request, Reporter())
    seconds = time.perf_counter() - started
    again = explain_difference(request, Reporter())
    found = {"start": result}
    if lab.strategy != "linear_probe":
        for which, number in (("base of A", 0), ("base of B", 1)):
            with mock.patch.object(compared_images, "choose_networks", partial(_network_of, number)):
                found[which] = explain_difference(request, Reporter())
    return {
        "truth": truth,
        "parts": {which: _parts(each) for which, each in found.items()},
        "difference": result.difference,
        "unexplained": result.unexplained.contribution,
        "spread": result.seed.spread,
        "seconds": seconds,
        "misses_again": again.cached["misses"],
        "headline": result.headline,
    }


def _network_of(number: int, *extractors: Any) -> Networks:
    """Return the trained base of one of the two runs as the network of all heads."""
    return Networks("first", extractors[number], extractors[number])


def _parts(result: Any) -> dict[str, list[float]]:
    """Return {kind: [contribution, low, high]}; parts of the same kind are added."""
    found = {}
    for change in CHANGES:
        parts = [part for part in result.parts if part.kind == change]
        value = sum(part.contribution for part in parts)
        half = sum(((part.interval[1] - part.interval[0]) / 2) ** 2 for part in parts) ** 0.5
        middle = sum((part.interval[0] + part.interval[1]) / 2 for part in parts)
        found[change] = [value, middle - half, middle + half]
    return found


def print_table(title: str, results: Sequence[dict[str, Any]]) -> None:
    """Print the truth and the parts in points, as means over the repeats."""
    print(f"\n{title}, {len(results)} repeats\n")
    print("| heads on | change | truth | part | mean error | half width | inside | signs |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for which in results[0]["parts"]:
        for change in CHANGES:
            truth = 100 * np.array([each["truth"][change] for each in results])
            parts = 100 * np.array([each["parts"][which][change] for each in results])
            inside = (parts[:, 1] <= truth) & (truth <= parts[:, 2])
            large = np.abs(truth) >= 1
            signs = f"{(np.sign(truth) == np.sign(parts[:, 0]))[large].mean():.0%}" if large.any() else "-"
            error, width = np.abs(parts[:, 0] - truth).mean(), (parts[:, 2] - parts[:, 1]).mean() / 2
            print(
                f"| {which} | {change} | {truth.mean():+.1f} | {parts[:, 0].mean():+.1f} | {error:.1f} | {width:.1f} |"
                f" {inside.mean():.0%} | {signs} |"
            )
    rest = 100 * np.array([each["unexplained"] for each in results])
    print(
        f"\ndifference {100 * np.mean([each['difference'] for each in results]):+.1f}, unexplained {rest.mean():+.1f}"
        f" (mean size {np.abs(rest).mean():.1f}), seed ±{100 * np.mean([each['spread'] for each in results]):.1f},"
        f" {np.median([each['seconds'] for each in results]):.1f} s a call;"
        f" misses of a second call: {sum(each['misses_again'] for each in results)}",
        flush=True,
    )


def cost() -> dict[str, float]:
    """Return the processor seconds of one probe, and of all heads for five changes, on random features."""
    from transfercli.config.schema import TrainingConfig
    from transfercli.rows import ArrayRows
    from transfercli.transfer.probe.probe import solve
    from transfercli.workflows.compare.head_effects import ALWAYS, Game, TrainingRows, measure_effects

    rng = np.random.default_rng(0)
    images, width, classes, changes = 2000, 512, 10, 5
    means = rng.normal(0, 0.35, (classes, width))
    targets, truth = rng.integers(classes, size=images), rng.integers(classes, size=1000)
    features, queries = (
        (means[each] + rng.normal(size=(len(each), width))).astype(np.float32) for each in (targets, truth)
    )
    player = np.where(np.arange(images) < 40 * changes, np.arange(images) % changes, ALWAYS)
    rows = TrainingRows((features, features), targets, player, np.ones(images, bool), tuple(map(str, range(classes))))
    setting = TrainingConfig()
    game = Game(rows, changes, None, None, (setting, setting), (queries, queries), truth, "accuracy", 0)
    started = time.process_time()
    solve(ArrayRows(features), targets, classes, class_weights=None, seed=0, reporter=Reporter())
    probe = time.process_time() - started
    started = time.process_time()
    effects = measure_effects(game, Reporter())
    return {"probe": probe, "why": time.process_time() - started, "heads": effects.solves}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("fashion", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--parts", nargs="*", default=["fashion", "digits", "fine-tuned", "cost"])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument(
        "--seeds", type=int, default=2, help="trainings of each fine-tuned run, whose mean is the truth"
    )
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    for part in arguments.parts:
        if part == "cost":
            found[part] = cost()
            print("\ncost:", json.dumps(found[part]), flush=True)
            continue
        with tempfile.TemporaryDirectory() as folder:
            work, fine_tuned = Path(folder), part == "fine-tuned"
            pool = digits_pool(work) if part == "digits" else fashion_pool(arguments.fashion, work)
            lab = Lab(work, pool, *(("full", 8) if fine_tuned else ("linear_probe", 1)))
            sizes, trainings = SIZES["digits" if part == "digits" else "fashion"], arguments.seeds if fine_tuned else 1
            repeats = range(max(1, arguments.repeats // (1 + fine_tuned)))
            found[part] = [measure(lab, pool, sizes, repeat, trainings) for repeat in repeats]
        print_table(part, found[part])
        arguments.out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
