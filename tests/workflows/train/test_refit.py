"""Runs whose head is solved again on training and validation images together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.listener import Listener
from transfercli.errors import Interrupted
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.runs.record import RunRecord
from transfercli.workflows.embed.similar import SimilarRequest, find_similar


def few(world: Any, target: Path) -> Path:
    """Copy 24 images of each of digits 5-9 and return the folder."""
    import shutil

    for folder in sorted((world.samples / "digits-target" / "train").iterdir()):
        (target / folder.name).mkdir(parents=True)
        for file in sorted(folder.iterdir())[:24]:
            shutil.copyfile(file, target / folder.name / file.name)
    return target


@pytest.fixture(scope="module")
def runs(source: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One linear probe that was refitted, one that was not, and `auto`, on the same 120 images."""
    world, earlier = source
    folder = tmp_path_factory.mktemp("refit")
    data = {"train": str(few(world, folder / "images")), "validation": 0.3}
    common = {
        "data": data,
        "model": {"weights": {"run": str(Path(earlier["run"]).resolve())}},
        "compute": {"cache_dir": str(folder / "cache"), "precision": "float32"},
    }
    configs = {
        "refitted": {"transfer": {"strategy": "linear_probe"}},
        "not": {"transfer": {"strategy": "linear_probe"}, "training": {"refit": False}},
        "auto": {"transfer": {"strategy": "auto"}, "training": {"epochs": 3}},
    }
    found: dict[str, Any] = {"world": world, "config": common}
    for name, sections in configs.items():
        path = world.config(f"refit-{name}", "digits-target", **common, **sections)
        found[name] = world.train("finetune", path)
    return found


def lines(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(result["run"]) / "metrics.jsonl").read_text().splitlines()]


def record(result: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads((Path(result["run"]) / "run.json").read_text()))


def weights(result: dict[str, Any]) -> bytes:
    return (Path(result["run"]) / "checkpoints" / "best" / "model.safetensors").read_bytes()


def test_the_line_of_a_refit_says_that_its_scores_are_cross_validated_over_all_labelled_images(runs: Any) -> None:
    (line,) = lines(runs["refitted"])
    images = record(runs["refitted"])["data"]["images"]
    assert line["cross_validated"] == images["train"] + images["validation"]
    assert 0 < line["val_accuracy_error"] < 0.05
    assert record(runs["refitted"])["cross_validated"] == runs["refitted"]["cross_validated"] == line["cross_validated"]
    assert runs["refitted"]["metrics"]["val_accuracy"] == line["val_accuracy"] < line["accuracy"]


def test_without_a_refit_the_run_is_what_it_was(runs: Any) -> None:
    (line,) = lines(runs["not"])
    assert not {"cross_validated", "val_accuracy_error"} & set(line)
    assert runs["not"]["cross_validated"] is None
    assert [phase["kind"] for phase in record(runs["not"])["phases"]] == ["probe"]


def test_the_scores_are_those_of_the_original_library_out_of_fold(runs: Any) -> None:
    """The head of scikit-learn on the same folds and features, at the strength that was chosen, is as accurate."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    from transfercli.models.surgery import cut_after_base
    from transfercli.rows import ChainedRows
    from transfercli.runs.folder import RunFolder
    from transfercli.workflows.stored_run import StoredRun

    run = StoredRun(RunFolder(Path(runs["refitted"]["run"])))
    splits = [run.split(name) for name in ("train", "validation")]
    images = ChainedRows(tuple(split.images for split in splits)).read(np.arange(sum(map(len, splits))))
    targets = np.concatenate([split.targets for split in splits])
    features = np.asarray(cut_after_base(run.classifier).prefix.predict_on_batch(images))
    scaled = features - features.mean(axis=0)
    scaled /= np.sqrt((scaled**2).sum(axis=1).mean())
    (line,) = lines(runs["refitted"])
    model = LogisticRegression(C=line["strength"], max_iter=2000)
    predicted = cross_val_predict(model, scaled, targets, cv=StratifiedKFold(5, shuffle=True, random_state=0))
    assert line["val_accuracy"] == pytest.approx((predicted == targets).mean(), abs=0.06)


def test_calibration_is_fitted_to_predictions_out_of_fold(runs: Any) -> None:
    """The refitted head is right about nearly all of its own images, so its own scores would be far too low."""
    from transfercli.evaluation.confidence.trust import read_trust

    trust = {name: read_trust(Path(runs[name]["run"]) / "calibration.json") for name in ("refitted", "not")}
    counts = {name: found.conformal.pooled.images for name, found in trust.items() if found and found.conformal}
    images = record(runs["refitted"])["data"]["images"]
    assert counts == {"refitted": images["train"] + images["validation"], "not": images["validation"]}


def test_an_evaluation_of_validation_images_says_that_the_run_learnt_from_them(runs: Any) -> None:
    from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run

    reporter = Listener()
    request = EvaluateRequest(runs["refitted"]["run"], runs["world"].runs, split="validation")
    result = evaluate_run(request, reporter).as_json()
    images = record(runs["refitted"])["data"]["images"]["validation"]
    assert result["known"] == {"train": images}
    assert result["honest"]["accuracy"] is None
    assert any(f"trained on {images} of these {images} images" in text for text in reporter.warnings), reporter.warnings


@pytest.mark.parametrize("name, splits", [("refitted", {"train", "validation"}), ("not", {"train"})])
def test_similar_images_are_searched_among_all_that_the_head_learnt_from(
    runs: Any, name: str, splits: set[str]
) -> None:
    folder, world = Path(runs[name]["run"]), runs["world"]
    counts = RunRecord.read(RunFolder(folder)).image_counts
    image = min((world.samples / "digits-source" / "test" / "2").glob("*.png"))
    result = find_similar(SimilarRequest(str(folder), world.runs, (str(image),), top=100), Reporter())
    assert result.searched == sum(counts[split] for split in splits)
    assert {match.split for match in result.images[0].neighbours} == splits


def test_auto_records_what_it_tried_and_the_choice(runs: Any) -> None:
    tried = record(runs["auto"])["candidates"]
    assert [candidate["name"] for candidate in tried] == ["linear_probe", "multilayer_probe"]
    chosen = next(candidate for candidate in tried if candidate["chosen"])
    assert chosen["log_loss"] <= min(candidate["log_loss"] for candidate in tried) + 1e-3
    (phase,) = record(runs["auto"])["phases"]  # no gain of fine-tuning could be shown on so few validation images
    assert (phase["kind"], phase["head"]) == ("refit", chosen["name"])


def test_auto_that_is_stopped_between_candidates_ends_as_one_that_never_was(runs: Any) -> None:
    world, name = runs["world"], "refit-auto"
    path = world.folder / f"{name}.yaml"
    with pytest.raises(Interrupted):
        world.train("finetune", path, Listener(lambda step: step[:2] == ("candidates", 1)), run_id="again")
    again = world.train("finetune", path, run_id="again")
    assert weights(again) == weights(runs["auto"])
    assert lines(again)[-1]["val_loss"] == lines(runs["auto"])[-1]["val_loss"]


@pytest.mark.slow
def test_fine_tuning_that_shows_no_clear_gain_gives_way_to_the_refitted_head(source: Any, tmp_path: Path) -> None:
    world, earlier = source
    path = world.config(
        "auto-tunes",
        "digits-target",
        model={"weights": {"run": str(Path(earlier["run"]).resolve())}},
        compute={"cache_dir": str(tmp_path / "cache"), "precision": "float32"},
        transfer={"strategy": "auto"},
        training={"epochs": 3},
    )
    result = world.train("finetune", path)
    assert [phase["kind"] for phase in record(result)["phases"]] == ["probe", "train", "blend", "refit"]
    last = lines(result)[-1]
    assert (result["best_epoch"], last["epoch"]) == (5, 5)
    assert ("cross_validated" in last) == (last["gain"] <= 2 * last["gain_error"])


def test_a_child_that_solves_a_head_of_its_own_is_not_warned_of_its_parent_s_refit(runs: Any) -> None:
    world, config = runs["world"], runs["config"]
    parent = {"weights": {"run": str(Path(runs["refitted"]["run"]).resolve())}}
    reporter = Listener()
    path = world.config(
        "refit-child", "digits-target", **(config | {"model": parent}), transfer={"strategy": "linear_probe"}
    )
    child = world.train("finetune", path, reporter)
    assert child["learnt_before"]["validation"] == {"train": record(child)["data"]["images"]["validation"]}
    assert not [text for text in reporter.warnings if "learnt from" in text]


@pytest.mark.slow
def test_images_that_the_base_was_trained_on_do_not_score_a_head_on_it(runs: Any, tmp_path: Path) -> None:
    """The base is trained on the images of which the head is solved then: most are right, held out or not."""
    from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run

    world, config = runs["world"], runs["config"]
    tuned = {"transfer": {"strategy": "full"}, "training": {"epochs": 15}}
    parent = world.train("finetune", world.config("refit-tuned", "digits-target", **config, **tuned))
    child = {**config, "model": {"weights": {"run": str(Path(parent["run"]).resolve())}}}
    reporter = Listener()
    path = world.config("refit-on-tuned", "digits-target", **child, transfer={"strategy": "linear_probe"})
    result = world.train("finetune", path, reporter)
    images = record(result)["data"]["images"]
    assert result["learnt_before"]["train"] == {"train": images["train"]}
    assert result["cross_validated"] == images["validation"]
    score = next(line for line in lines(result) if "cross_validated" in line)
    assert any("images that the base was not trained on" in text for text in reporter.infos)
    target = world.samples / "digits-target" / "test"
    evaluation = evaluate_run(EvaluateRequest(result["run"], world.runs, data=target), Listener()).as_json()
    low, high = evaluation["intervals"]["accuracy"]
    assert low - 2 * score["val_accuracy_error"] <= score["val_accuracy"] <= high + 2 * score["val_accuracy_error"]
