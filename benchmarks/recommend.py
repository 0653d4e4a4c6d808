"""Recommendation of a base against the truth: test accuracy of every base, after a probe and after full fine-tuning.

Usage: python -m benchmarks.recommend OUT --data NAME=DIR … --base BASE:SIZE=FILE … [--labels 5 20 50] [--seeds 5]
       [--full N] [--epochs 5]

A DIR holds `train/CLASS/*` and `test/CLASS/*`; FILE is a weight file, or the path of a run. The features of each base
are computed once, on at most `--most` training and test images a class, and kept in OUT. For every number of labels a
class and seed, the program's own cross-validation on a random choice of labels ranks the bases and recommends one.
Regret is the test accuracy of the best base less that of the recommended one, each with a multilayer probe on all the
labels, as a mean over the seeds; `--full` compares with fully fine-tuned bases instead, on N labels a class of one seed
(minutes each). Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.workflows.recommend.ranking import HeldOut, rank

PARTS = ("train", "test")


@dataclass(frozen=True)
class Features:
    """Features of a data set by one base: rows float32 [N, D] and classes int [N] of each part."""

    rows: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]
    facts: dict[str, Any]


def chosen_files(folder: Path, most: int) -> dict[str, list[Path]]:
    """Return class -> its files, at most so many, in a fixed random order."""
    files = {}
    for label in sorted(path for path in folder.iterdir() if path.is_dir()):
        found = sorted(label.iterdir())
        order = np.random.default_rng(0).permutation(len(found))
        files[label.name] = [found[index] for index in order[:most]]
    return files


def link(files: dict[str, list[Path]], folder: Path) -> None:
    """Write an image folder of hard copies of files."""
    for label, paths in files.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for path in paths:
            shutil.copyfile(path, folder / label / path.name)


def settings(data: Path, base: str, cache: Path) -> dict[str, Any]:
    """Return a config of a base, `NAME:SIZE=FILE`, on an image folder."""
    name, _, file = base.partition("=")
    row, _, size = name.partition(":")
    source = {"run": file} if Path(file).is_dir() else {"path": file}
    return {
        "name": "recommend",
        "data": {
            "train": str(data / "train"),
            "validation": 0.2,
            "test": str(data / "test"),
            "image_size": int(size),
            "batch_size": 16,
        },
        "model": {"base": row, "weights": source},
        "compute": {"cache_dir": str(cache)},
        "transfer": {"strategy": "multilayer_probe"},
    }


def compute_features(data: Path, base: str, out: Path) -> Features:
    """Return the features of all images of a folder by a base, computed now and kept in `out`, or from there."""
    name = base.partition("=")[0].replace(":", "-")
    file = out / f"{data.name}-{name}.npz"
    if not file.exists():
        np.savez(file, **_computed(data, base, out))
    with np.load(file, allow_pickle=False) as stored:
        arrays = dict(stored)
    facts = json.loads(str(arrays.pop("facts")))
    return Features({part: arrays[part] for part in PARTS}, {part: arrays[f"{part}_targets"] for part in PARTS}, facts)


def _computed(data: Path, base: str, out: Path) -> dict[str, Any]:
    from transfercli.data.load import load_dataset
    from transfercli.training.backend import prepare
    from transfercli.transfer.features.features import features_of
    from transfercli.transfer.features.prefix import Prefix
    from transfercli.transfer.probe.solved_head import layers_of
    from transfercli.workflows.new_model import find_parent, new_classifier
    from transfercli.workflows.recommend.measure import cost_of
    from transfercli.workflows.train.job import load_for_new_run
    from transfercli.workflows.train.setup import feature_cache
    from transfercli.workflows.train.training_data import data_request

    config_file = out / "config.yaml"
    config_file.write_text(yaml.safe_dump(settings(data, base, out / "cache")))
    config = load_for_new_run(config_file, (), "finetune", out / "runs").config
    dataset = load_dataset(data_request(config, out / "runs" / config.name), Reporter())
    prepare(config.compute, config.seed)
    from transfercli.models.surgery import cut_after_base

    classifier, _ = new_classifier(config, find_parent(config, out / "runs"), dataset.labels, Reporter())
    cut, cost = cut_after_base(classifier), cost_of(classifier)
    cache = feature_cache(config, Reporter())
    rows = {}
    for split, images in dataset.splits.items():
        found = features_of(images, Prefix(cut, "float32"), cache, Reporter(), _raise)
        rows[split] = found.read(np.arange(len(images)))
    targets = {name: split.targets for name, split in dataset.splits.items()}
    layers = layers_of(classifier, cut)
    facts = {"names": layers.names, "widths": layers.widths, "normalisation": layers.normalisation}
    facts |= {"seconds": cost.seconds, "multiply_adds": cost.multiply_adds}
    joined = {
        "train": np.concatenate([rows["train"], rows["validation"]]),
        "train_targets": np.concatenate([targets["train"], targets["validation"]]),
    }
    return {**joined, "test": rows["test"], "test_targets": targets["test"], "facts": json.dumps(facts)}


def _raise(reason: str) -> None:
    raise RuntimeError(reason)


def choose(targets: np.ndarray, labels: int, seed: int) -> np.ndarray:
    """Return the rows of so many images of each class, or of all that it has."""
    rng = np.random.default_rng(seed)
    classes = range(int(targets.max()) + 1)
    return np.concatenate([rng.permutation(np.flatnonzero(targets == label))[:labels] for label in classes])


def measured(features: Features, rows: np.ndarray) -> tuple[HeldOut, float]:
    """Return the cross-validated predictions of training images, and the test accuracy of a probe on all of them."""
    from transfercli.models.normalised import normalised
    from transfercli.transfer.probe.cross_validation import cross_validate
    from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem, solve_layers
    from transfercli.transfer.probe.normalisation import choose_normalisation

    facts, targets = features.facts, features.targets["train"][rows]
    layers = FeatureLayers(tuple(facts["names"]), tuple(facts["widths"]), facts["normalisation"])
    problem = LinearProblem(
        ArrayRows(features.rows["train"][rows]), targets, int(features.targets["train"].max()) + 1, None, 0
    )
    layers = replace(layers, normalisation=choose_normalisation(problem, layers, Reporter()))
    found = cross_validate(problem, layers, Reporter())
    probe = solve_layers(problem, layers, Reporter())
    logits = normalised(features.rows["test"], layers.widths, layers.normalisation) @ probe.kernel + probe.bias
    return HeldOut(found.losses, found.hits), float((logits.argmax(1) == features.targets["test"]).mean())


def full_accuracy(data: Path, base: str, out: Path, labels: int, epochs: int) -> float:
    """Return the test accuracy of a base that is fully fine-tuned on so many labels a class; kept in `out`."""
    from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run
    from transfercli.workflows.train.job import TrainRequest
    from transfercli.workflows.train.train import train

    file = out / "full.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    key = f"{data.name}, {base.partition('=')[0]}, {labels}, {epochs}"
    if key not in known:
        small = out / f"{data.name}-{labels}"
        if not small.exists():
            link(chosen_files(data / "train", labels), small / "train")
            (small / "test").symlink_to((data / "test").absolute())
        config = settings(small, base, out / "cache")
        config |= {"name": "full", "transfer": {"strategy": "full"}}
        config["training"] = {"epochs": epochs, "optimizer": {"name": "adam", "learning_rate": 3e-5}}
        (out / "full.yaml").write_text(yaml.safe_dump(config))
        result = train(TrainRequest("finetune", out / "full.yaml", out / "runs"), Reporter()).as_json()
        evaluation = evaluate_run(EvaluateRequest(result["run"], out / "runs"), Reporter()).evaluation
        shutil.rmtree(out / "runs")
        known[key] = evaluation.metrics["accuracy"]
        file.write_text(json.dumps(known, indent=2) + "\n")
    return float(known[key])


@dataclass(frozen=True)
class Outcome:
    """Choice on one draw of labels. regrets: by rule. tau: Kendall's, of minus the log loss and the test accuracy."""

    regrets: dict[str, float]
    tau: float
    chosen: str


def outcome(
    names: Sequence[str], held: Sequence[HeldOut], facts: Sequence[dict[str, Any]], truth: np.ndarray
) -> Outcome:
    """Return the choice among bases with these predictions, by the program and by simpler rules."""
    from scipy.stats import kendalltau

    seconds = np.array([each["seconds"] for each in facts])
    ranks = rank(held, seconds.tolist(), None)
    losses = np.array([each.log_loss for each in ranks])
    chosen = next(number for number, each in enumerate(ranks) if each.recommended)
    tied = np.array([each.tied for each in ranks])
    choices = {
        "recommend": chosen,
        "least log loss": int(losses.argmin()),
        "cheapest within one standard error": int(np.where(tied, seconds, np.inf).argmin()),
        "highest accuracy": int(np.argmax([each.accuracy for each in ranks])),
        "largest network": int(np.argmax([each["multiply_adds"] for each in facts])),
    }
    regrets = {rule: float(truth.max() - truth[choice]) for rule, choice in choices.items()}
    regrets["random"] = float(truth.max() - truth.mean())
    return Outcome(regrets, float(kendalltau(-losses, truth).statistic), names[chosen])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", nargs="+", required=True, metavar="NAME=DIR")
    parser.add_argument("--base", nargs="+", required=True, metavar="BASE:SIZE=FILE")
    parser.add_argument("--labels", type=int, nargs="+", default=[5, 20, 50], help="training images a class")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--most", type=int, default=60, help="images a class and part whose features are computed")
    parser.add_argument("--full", type=int, nargs="*", default=[], help="labels a class for full fine-tuning")
    parser.add_argument("--epochs", type=int, default=5, help="of full fine-tuning")
    args = parser.parse_args()
    out = args.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    folders = {}
    for text in args.data:
        name, _, folder = text.partition("=")
        folders[name] = out / "data" / name
        for part in PARTS:
            if not (folders[name] / part).exists():
                link(chosen_files(Path(folder) / part, args.most), folders[name] / part)
    names = [base.partition("=")[0] for base in args.base]
    features = {name: [compute_features(folder, base, out) for base in args.base] for name, folder in folders.items()}
    print("| data | labels a class | test accuracy of each base | recommended | regret, points | tau |")
    print("|---|---|---|---|---|---|")
    found: list[Outcome] = []
    for name, sets in features.items():
        for labels in args.labels:
            outcomes, accuracies = outcomes_of(name, labels, names, sets, args.seeds, out)
            found += outcomes
            print(row(name, labels, names, outcomes, accuracies), flush=True)
    print("\n| rule | mean regret, points |\n|---|---|")
    for rule in found[0].regrets:
        print(f"| {rule} | {100 * statistics.mean(each.regrets[rule] for each in found):.1f} |")
    for name, folder in folders.items():
        for labels in args.full:
            truth = np.array([full_accuracy(folder, base, out, labels, args.epochs) for base in args.base])
            chosen = choose(features[name][0].targets["train"], labels, 0)
            held = [measured(each, chosen)[0] for each in features[name]]
            full = outcome(names, held, [each.facts for each in features[name]], truth)
            shown = ", ".join(f"{base} {value:.3f}" for base, value in zip(names, truth, strict=True))
            print(
                f"{name}, {labels} labels a class, after full fine-tuning: {shown}; recommended {full.chosen},"
                f" regret {100 * full.regrets['recommend']:.1f},"
                f" tau {full.tau:.2f}",
                flush=True,
            )


def trial(sets: Sequence[Features], rows: np.ndarray, file: Path) -> tuple[list[HeldOut], np.ndarray]:
    """Return the predictions of each base and its test accuracy, computed now and kept in a file, or from there."""
    if not file.exists():
        results = [measured(each, rows) for each in sets]
        np.savez(
            file,
            losses=[held.losses for held, _ in results],
            hits=[held.hits for held, _ in results],
            truth=[accuracy for _, accuracy in results],
        )
    with np.load(file, allow_pickle=False) as stored:
        held = [HeldOut(losses, hits) for losses, hits in zip(stored["losses"], stored["hits"], strict=True)]
        return held, stored["truth"]


def outcomes_of(
    name: str, labels: int, names: Sequence[str], sets: Sequence[Features], seeds: int, out: Path
) -> tuple[list[Outcome], np.ndarray]:
    """Return the outcome of each seed, and the mean test accuracy of each base, which is the truth of all."""
    draws = [
        trial(sets, choose(sets[0].targets["train"], labels, seed), out / f"{name}-{labels}-{seed}.npz")
        for seed in range(seeds)
    ]
    mean = np.mean([truth for _, truth in draws], axis=0)
    return [outcome(names, held, [each.facts for each in sets], mean) for held, _ in draws], mean


def row(name: str, labels: int, names: Sequence[str], outcomes: Sequence[Outcome], accuracies: np.ndarray) -> str:
    """Return a line of the table."""
    counts = {base: sum(each.chosen == base for each in outcomes) for base in names}
    shown = ", ".join(f"{base} {value:.3f}" for base, value in zip(names, accuracies, strict=True))
    chosen = ", ".join(f"{base} ({count})" for base, count in counts.items() if count)
    regret = 100 * statistics.mean(each.regrets["recommend"] for each in outcomes)
    return f"| {name} | {labels} | {shown} | {chosen} | {regret:.1f} | {statistics.mean(o.tau for o in outcomes):.2f} |"


if __name__ == "__main__":
    main()
