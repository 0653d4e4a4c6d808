"""Test accuracy of the heads that the program solves, on stored features: with the validation images and without.

Usage: python -m benchmarks.heads DATA OUT --base vgg16:64=FILE [--images 5 20 100] [--seeds 5] [--most 200]
                                  [--repeats 3]

DATA holds `train/CLASS` and `test/CLASS`; FILE is a weight file. The features of at most `--most` images a class of
each are computed once, by the program, and kept in the folder OUT, as the accuracies are. For each seed so many images
a class are drawn, of which a fifth validates; `train` is a head that is solved on the others (`refit: false`), `refit`
one on all, with its cross-validated accuracy beside it. `auto` is the refitted head of least cross-validated log loss,
as long as there are too few validation images to show a gain of fine-tuning. Prints a Markdown table; gains are over
the first row, the probe on the last features as they are, without refit.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.recommend import Features, chosen_files, compute_features, link
from transfercli.models.normalised import normalised
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.auto import MIN_VALIDATION
from transfercli.transfer.choice import FEW, REPEATS
from transfercli.transfer.probe.heads import LINEAR, MULTILAYER, PosedProblem, pose
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem
from transfercli.transfer.probe.normalisation import choose_normalisation

AS_THEY_ARE = f"{LINEAR}, features as they are"
ROOT = f"{LINEAR}, root"


def draw(targets: np.ndarray, images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the training and the validation images, int [n] each, of so many images a class."""
    rng, training, validation = np.random.default_rng(seed), [], []
    for label in np.unique(targets):
        chosen = rng.permutation(np.flatnonzero(targets == label))[:images]
        held_out = max(1, len(chosen) // 5)
        validation.append(chosen[:held_out])
        training.append(chosen[held_out:])
    return np.concatenate(training), np.concatenate(validation)


class Draw:
    """One draw of labelled images: its heads, as the program poses them, and their test accuracies."""

    def __init__(self, features: Features, images: int, seed: int) -> None:
        self.features, self.seed = features, seed
        self.training, validation = draw(features.targets["train"], images, seed)
        self.every = np.concatenate([self.training, validation])

    def posed(self, name: str, images: np.ndarray) -> PosedProblem:
        """Return a head's problem on some images."""
        facts = self.features.facts
        names, widths = tuple(facts["names"]), tuple(facts["widths"])
        targets = self.features.targets["train"]
        problem = LinearProblem(
            ArrayRows(self.features.rows["train"][images]), targets[images], int(targets.max()) + 1, None, self.seed
        )
        posed = pose(MULTILAYER if name == MULTILAYER else LINEAR, problem, FeatureLayers(names, widths, "root"))
        how = "root"
        if name == AS_THEY_ARE:
            how = "none"
        elif name == LINEAR:
            training = posed if images is self.training else self.posed(ROOT, self.training)
            how = choose_normalisation(training.problem, training.layers, Reporter())
        return replace(
            posed,
            layers=replace(posed.layers, normalisation=how),
            all_layers=replace(posed.all_layers, normalisation=how),
        )

    def accuracy(self, posed: PosedProblem) -> float:
        """Return the test accuracy of a head."""
        probe, layers = posed.solve(Reporter()), posed.all_layers
        rows = normalised(self.features.rows["test"], layers.widths, layers.normalisation)
        return float(((rows @ probe.kernel + probe.bias).argmax(axis=1) == self.features.targets["test"]).mean())

    def measure(self, name: str, repeats: int) -> dict[str, Any]:
        """Return the figures of a head; repeats: of the cross-validation."""
        started = time.process_time()
        train = self.accuracy(self.posed(name, self.training))
        seconds = time.process_time() - started
        posed = self.posed(name, self.every)
        scored = posed.cross_validate(repeats)
        figures = {"train": train, "refit": self.accuracy(posed), "normalisation": posed.layers.normalisation}
        return figures | {"scored": scored.accuracy, "loss": scored.loss, "seconds": round(seconds, 2)}


def table(results: dict[str, dict[str, Any]], images: list[int], seeds: int, classes: int) -> str:
    """Return means over the seeds, and gains over the first row, as Markdown."""
    lines = [
        "| labels a class | head | train | refit | cross-validated | gain in points | by seed |",
        "| ---: | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for n in images:
        first = [results[f"{n}, {AS_THEY_ARE}, {seed}"]["train"] for seed in range(seeds)]
        for name in (AS_THEY_ARE, LINEAR, ROOT, MULTILAYER):
            found = [results[f"{n}, {name}, {seed}"] for seed in range(seeds)]
            train, refit, scored = (np.mean([each[key] for each in found]) for key in ("train", "refit", "scored"))
            gains = [100 * (each["refit"] - base) for each, base in zip(found, first, strict=True)]
            by_seed = ", ".join(f"{gain:+.1f}" for gain in gains)
            lines.append(
                f"| {n} | {name} | {train:.3f} | {refit:.3f} | {scored:.3f} | {np.mean(gains):+.1f} | {by_seed} |"
            )
        if classes * max(1, n // 5) >= MIN_VALIDATION:
            continue
        chosen = []
        for seed in range(seeds):
            tried = [results[f"{n}, {name}, {seed}"] | {"head": name} for name in (ROOT, MULTILAYER)]
            chosen.append(min(tried, key=lambda each: each["loss"]))
        multilayer = sum(each["head"] == MULTILAYER for each in chosen)
        mean = np.mean([each["refit"] for each in chosen])
        gain = 100 * np.mean([each["refit"] - base for each, base in zip(chosen, first, strict=True)])
        lines.append(f"| {n} | auto: multilayer_probe {multilayer} of {seeds} | | {mean:.3f} | | {gain:+.1f} | |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--base", required=True, help="NAME:SIZE=FILE")
    parser.add_argument("--images", type=int, nargs="*", default=[5, 20, 100], help="labels of each class")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--most", type=int, default=200, help="images a class of the pool, and of the test images")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="of cross-validations of fewer than 1,000 images")
    args = parser.parse_args()
    data = args.out / "data" / args.data.name
    for part in ("train", "test"):
        shutil.rmtree(data / part, ignore_errors=True)
        link(chosen_files(args.data / part, args.most), data / part)
    features, file = compute_features(data, args.base, args.out), args.out / "accuracies.json"
    results: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for images in args.images:
        for seed in range(args.seeds):
            drawn = Draw(features, images, seed)
            repeats = args.repeats if len(drawn.every) < FEW else 1
            for name in (AS_THEY_ARE, LINEAR, ROOT, MULTILAYER):
                key = f"{images}, {name}, {seed}"
                if key not in results:
                    results[key] = drawn.measure(name, repeats)
                    file.write_text(json.dumps(results, indent=1) + "\n")
                    print(key, results[key], flush=True)
    print(table(results, args.images, args.seeds, int(features.targets["train"].max()) + 1))


if __name__ == "__main__":
    main()
