"""Refitted heads and the choice of `auto` between them: test accuracy, and the cross-validated score beside it.

Usage: python benchmarks/refit.py TRAIN.npz TEST.npz [--images 5 20 100] [--seeds 5]
                                  [--layers block2_conv2 block3_conv3 block4_conv3 block5_pool]

The files hold averaged features float32 [N, D] of each layer by its name, and classes `y`. For each seed so many images
a class are drawn, of which a fifth validates: `train` solves on the others, `refit` on all, and `auto` refits the head
of the least cross-validated log loss. Prints a Markdown table.
"""

from __future__ import annotations

import argparse

import numpy as np

from transfercli.models.normalised import normalised
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.probe.heads import HEADS, pose
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem

LAYERS = ("block2_conv2", "block3_conv3", "block4_conv3", "block5_pool")


def draw(targets: np.ndarray, images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the training and the validation images, int [n] each, of so many images a class."""
    rng, training, validation = np.random.default_rng(seed), [], []
    for label in np.unique(targets):
        chosen = rng.choice(np.flatnonzero(targets == label), images, replace=False)
        held_out = max(1, images // 5)
        validation.append(chosen[:held_out])
        training.append(chosen[held_out:])
    return np.concatenate(training), np.concatenate(validation)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--images", type=int, nargs="*", default=[5, 20, 100])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--layers", nargs="*", default=list(LAYERS))
    args = parser.parse_args()
    with np.load(args.train) as train, np.load(args.test) as test:
        rows, queries = (np.concatenate([file[name] for name in args.layers], axis=1) for file in (train, test))
        targets, truth = train["y"].astype(int), test["y"].astype(int)
        widths = tuple(train[name].shape[1] for name in args.layers)
    layers = FeatureLayers((*args.layers[:-1], "output"), widths, "root")
    normal = normalised(queries.astype("float32"), widths, "root")
    classes = int(targets.max()) + 1

    def posed(head: str, images: np.ndarray, seed: int):
        problem = LinearProblem(ArrayRows(rows[images].astype("float32")), targets[images], classes, None, seed)
        return pose(head, problem, layers)

    def accuracy(head: str, images: np.ndarray, seed: int) -> float:
        probe = posed(head, images, seed).solve(Reporter())
        return float(((normal @ probe.kernel + probe.bias).argmax(axis=1) == truth).mean())

    print("| labels a class | head | train | refit | cross-validated | chosen by auto |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    for images in args.images:
        found = {head: [] for head in HEADS}
        auto = []
        for seed in range(args.seeds):
            training, validation = draw(targets, images, seed)
            every, losses = np.concatenate([training, validation]), {}
            for head in HEADS:
                scored = posed(head, every, seed).cross_validate(3)
                losses[head] = scored.loss
                found[head].append((accuracy(head, training, seed), accuracy(head, every, seed), scored.accuracy))
            best = min(losses, key=lambda head: losses[head])
            auto.append((best, found[best][-1][1]))
        for head, values in found.items():
            numbers = " | ".join(f"{value:.3f}" for value in np.mean(values, axis=0))
            print(
                f"| {images} | {head} | {numbers} | {sum(best == head for best, _ in auto)} of {args.seeds} |",
                flush=True,
            )
        print(f"| {images} | auto | | {np.mean([value for _, value in auto]):.3f} | | |", flush=True)


if __name__ == "__main__":
    main()
