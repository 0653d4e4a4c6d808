"""The command that usually follows, for each command: it is shown to a person below the result."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from transfercli.io.addresses import as_given
from transfercli.runs.folder import DEFAULT_RUNS

Words = Sequence[object]
# Takes the values of the command's own parameters and its result; returns the words of a command, or None.
NextStep = Callable[[Mapping[str, Any], Any], Words | None]


def print_next(words: Words | None, out: TextIO | None = None) -> None:
    """Print `next: transfercli …` below a result; nothing for None. Words in capitals stand for the user's own."""
    if words:
        print(f"\nnext: {shlex.join(('transfercli', *map(as_given, map(str, words))))}", file=out or sys.stdout)


def _runs(own: Mapping[str, Any]) -> list[object]:
    return [] if own.get("runs") in (None, DEFAULT_RUNS) else ["--runs", own["runs"]]


def _overrides(own: Mapping[str, Any]) -> list[object]:
    return [word for text in own.get("overrides") or () for word in ("--set", text)]


def after_sample(own: Mapping[str, Any], result: Any) -> Words:
    if result.config is not None:
        return ("finetune", result.config, "--dry-run")
    return ("config", "init", "--data", result.path, "-o", f"{result.path.name}.yaml")


def after_init(own: Mapping[str, Any], result: Any) -> Words:
    if hasattr(result, "examples"):
        return ("config", "init", "--example", result.examples[0].name, "-o", "FILE.yaml")
    if result.path is None:
        given = [(f"--{name}", own[name]) for name in ("base", "data", "example") if own[name] is not None]
        return ("config", "init", *(word for pair in given for word in pair), "-o", "FILE.yaml")
    opening = result.text.partition("\nname:")[0]  # `# Launch: transfercli pretrain FILE` in an example
    return ("pretrain" if "transfercli pretrain " in opening else "finetune", result.path, "--dry-run")


def after_validate(own: Mapping[str, Any], result: Any) -> Words:
    return ("data", "check", next(iter(result.missing)), *_overrides(own), *_runs(own))


def after_config_show(own: Mapping[str, Any], result: Any) -> Words:
    return (own["command"], own["config"], *_overrides(own), "--dry-run")


def after_schema(own: Mapping[str, Any], result: Any) -> Words:
    if own["output"] is None:
        return ("config", "schema", "-o", "transfercli.schema.json")
    return ("config", "validate", "FILE.yaml")


def after_check(own: Mapping[str, Any], result: Any) -> Words | None:
    if own.get("shard") is not None and result.report.usable:
        return ("data", "check", own["config"], *_overrides(own), *_runs(own))
    if result.report.usable:
        return ("finetune", own["config"], *_overrides(own), *_runs(own), "--dry-run")
    if own["report"] is None:
        return ("data", "check", own["config"], *_overrides(own), *_runs(own), "--report", "DIR")
    return None


def after_features(own: Mapping[str, Any], result: Any) -> Words:
    if result.shard and result.shard.count > 1:
        return ("cache", "merge", result.folder)  # into the cache of the training
    return ("finetune", own["config"], *_overrides(own), *_runs(own))


def after_diff(own: Mapping[str, Any], result: Any) -> Words:
    if result.difference.unchanged:
        return ("runs", "show", own["run"], *_runs(own))
    return ("retrain", own["config"], *_overrides(own), *_runs(own))


def after_drift(own: Mapping[str, Any], result: Any) -> Words:
    return ("predict", own["run"], own["folder"], *_runs(own), *["--abstain"] * result.drifted)


def after_monitor(own: Mapping[str, Any], result: Any) -> Words | None:
    if result.recent.source == "log":  # the images themselves are not in it
        return None
    if result.trusted and not (result.drift and result.drift.drifted):
        return ("predict", own["run"], own["folder"], *_runs(own))
    return ("data", "next", own["run"], own["folder"], "--budget", "100", *_runs(own))  # labels show what is true


def after_recommendation(own: Mapping[str, Any], result: Any) -> Words:
    settings = [word for text in result.recommended.settings for word in ("--set", text)]
    return ("finetune", own["config"], *_overrides(own), *settings, *_runs(own))


def after_next(own: Mapping[str, Any], result: Any) -> Words:
    return ("data", "check", "CONFIG")  # once the sorted images are among the others


def after_training(workflow: str, own: Mapping[str, Any], result: Any) -> Words | None:
    """Return the training without `--dry-run`, or with the rate of `--find-lr`.

    A trained run names its evaluation in its own table; of a cross-validation, the runs make one model together.
    """
    if own["find_lr"]:
        if result.suggestion is None or "[" in result.key:  # a key in a list has to be changed in the file
            return None
        rate = f"{result.key}={result.suggestion:g}"
        return (workflow, own["config"], *_overrides(own), "--set", rate, *_runs(own))
    if getattr(result, "kind", None) == "folds" and hasattr(result, "completed"):
        complete = len(result.completed) == len(result.runs)
        return ("merge", result.name, "--as", "NAME", *_runs(own)) if complete else None
    if getattr(result, "kind", None) == "seeds" and hasattr(result, "completed"):
        return ("evaluate", result.name, *_runs(own)) if len(result.completed) == len(result.runs) else None
    if not own["dry_run"] or result.as_json().get("run", "") is not None:
        return None
    options = [("--continue", own["continued"]), ("--epochs", own["epochs"])]
    options += [("--run-id", own["run_id"]), ("--resume", own["resume"]), ("--folds", own.get("folds"))]
    named = [word for option, value in options if value is not None for word in (option, value)]
    config = [] if own["config"] is None else [own["config"]]
    return (workflow, *config, *named, *_overrides(own), *_runs(own))


def after_merge(own: Mapping[str, Any], result: Any) -> Words:
    return ("evaluate", result.run)


def after_sweep(own: Mapping[str, Any], result: Any) -> Words | None:
    """Return the sweep itself after `--dry-run`, the same with a page, or the evaluation of the winner."""
    if own["dry_run"] or (result.winner and own["report"] is None):
        options = [] if own["sweep_id"] is None else ["--run-id", own["sweep_id"]]
        options += [] if own.get("jobs") in (None, 1) else ["--jobs", own["jobs"]]
        if (storage := own["storage"]) is not None:
            is_file = storage.startswith(("sqlite:", "journal:"))
            options += ["--storage", storage if is_file else "URL"]  # it may hold a password
        page = [] if own["dry_run"] else ["--report", "FILE.html"]
        return ("sweep", own["config"], *options, *_overrides(own), *_runs(own), *page)
    if not result.winner:
        return None
    runs = result.winner["runs"]  # of folds, which make one model together
    return ("merge", *runs, "--as", "NAME", *_runs(own)) if len(runs) > 1 else ("evaluate", *runs)


def after_evaluation(own: Mapping[str, Any], result: Any) -> Words | None:
    if hasattr(result, "shard"):
        return tuple(result.merge)
    if hasattr(result, "kind") or hasattr(result, "name"):  # of several runs
        is_folds = getattr(result, "kind", "folds") == "folds"
        return ("merge", result.name, "--as", "NAME", *_runs(own)) if is_folds else None
    if result.evaluation.passed:
        return ("predict", result.run, "PATH")
    return ("runs", "show", result.run)


def after_export(own: Mapping[str, Any], result: Any) -> Words | None:
    return ("predict", result.artefacts[0]["path"], "PATH") if result.artefacts else None


def after_embed(own: Mapping[str, Any], result: Any) -> Words:
    weights = [] if own["weights"] is None else ["--weights", own["weights"]]
    return ("similar", own["network"], "IMAGE", "--in", result.file, *weights, *_runs(own))


def after_similar(own: Mapping[str, Any], result: Any) -> Words | None:
    if own["report"] is not None:
        return None
    options = [("--in", own["within"]), ("--weights", own["weights"])]
    given = [word for option, value in options if value is not None for word in (option, value)]
    return ("similar", own["network"], *own["images"], *given, *_runs(own), "--report", "DIR")


def after_runs_list(own: Mapping[str, Any], result: Any) -> Words:
    if not result.runs and result.hidden:
        return ("runs", "list", *([result.experiment] if result.experiment else []), *_runs(own))
    if not result.runs:
        return ("config", "init", "--data", "DATA", "-o", "FILE.yaml")
    completed = [row for row in result.runs if row.status == "completed"]
    newest = max(completed or result.runs, key=lambda row: row.created or "")
    row = newest if result.best is None or not result.experiment else result.runs[result.best]
    return ("runs", "show", f"{row.experiment}/{row.run_id}", *_runs(own))


def after_runs_show(own: Mapping[str, Any], result: Any) -> Words | None:
    row = result.row
    if row.status != "completed":
        return None
    return ("predict", row.run, "PATH") if "test" in result.evaluations else ("evaluate", row.run)


def after_comparison(own: Mapping[str, Any], result: Any) -> Words:
    better = [pair for pair in result.comparisons if pair.outcome == "better"]
    if better:
        return ("promote", max(better, key=lambda pair: pair.comparison.gain() or 0.0).challenger.path)
    worse = [pair for pair in result.comparisons if pair.outcome == "worse"]
    if worse and worse[-1].challenger.several:  # which `runs why` does not take
        return ("runs", "compare", result.runs[0], worse[-1].challenger.path, "--report", "FILE.html")
    if worse:
        return ("runs", "why", result.runs[0], worse[-1].challenger.path)
    return ("runs", "show", result.runs[0])


def after_why(own: Mapping[str, Any], result: Any) -> Words:
    return ("runs", "compare", result.first, result.second, "--report", "FILE.html")


def after_prune(own: Mapping[str, Any], result: Any) -> Words:
    if not result.dry_run:
        return ("runs", "list", *_runs(own))
    limits = [("--keep-last", own["last"]), ("--keep-days", own["days"])]
    given = [word for option, value in limits if value is not None for word in (option, value)]
    return ("runs", "prune", *(own["experiments"] or ()), *given, *_runs(own))


def after_retrain(own: Mapping[str, Any], result: Any) -> Words | None:
    if result.decision == "rejected" and result.champion and result.challenger:
        return ("runs", "compare", result.champion, result.challenger)
    if not result.champion:
        return None
    return ("predict", f"{Path(result.champion).parent.name}@champion", "PATH", *_runs(own))


def after_promotion(own: Mapping[str, Any], result: Any) -> Words:
    return ("predict", f"{result.experiment}@champion", "PATH", *_runs(own))


def after_cache_clear(own: Mapping[str, Any], result: Any) -> Words:
    folder = [] if own["folder"] is None else ["--dir", own["folder"]]
    return ("cache", "show", *folder)


def after_cache_merge(own: Mapping[str, Any], result: Any) -> Words:
    return ("finetune", "CONFIG")  # of the training that the shards were for


def after_weights(own: Mapping[str, Any], result: Any) -> Words:
    shown_by_file = own["base"] is None and not result.problems
    base = own["target"] if shown_by_file else result.base or "BASE"
    return ("config", "init", "--base", base, "--data", "DATA", "-o", "FILE.yaml")


def after_bases(own: Mapping[str, Any], result: Any) -> Words:
    base = result.bases[0].name if len(result.bases) == 1 else "BASE"
    return ("config", "init", "--base", base, "--data", "DATA", "-o", "FILE.yaml")
