"""`merge`: one run from several, which is evaluated, exported and predicted with like any other."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.listener import Listener
from transfercli.data.manifest import write_manifest
from transfercli.errors import ArtefactError, BusyError, ConfigError, UsageError
from transfercli.evaluation.held_out import write_held_out
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.runs.lock import experiment_lock
from transfercli.workflows.merge.merge import MergeRequest, merge_runs
from transfercli.workflows.merge.result import MergeResult
from transfercli.workflows.stored_run import StoredRun

FEW = {"train": 60, "test": 20}
CACHED = 0.05  # answers are those of the training, which may read features in bfloat16


def few_digits(samples: Path, target: Path) -> Path:
    """The first images of each class of digits 5 to 9."""
    for split, count in FEW.items():
        for folder in sorted((samples / "digits-target" / split).iterdir()):
            copy = target / split / folder.name
            copy.mkdir(parents=True)
            for file in sorted(folder.glob("*.png"))[:count]:
                shutil.copy(file, copy)
    return target


@pytest.fixture(scope="module")
def trained(source: Any, tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Any:
    """Runs of digits 5 to 9, on the base of digits 0 to 4: two heads on it, two with its last layers trained."""
    from tests.workflows.conftest import World

    world = World(tmp_path_factory.mktemp("merge"), digits_folder)
    data = few_digits(digits_folder, world.folder / "data")
    weights = {"run": source[1]["run"]}

    def train(run_id: str, *, head: Any = (), rate: float = 0.003, epochs: int = 3, **sections: Any) -> None:
        extra = sections.pop("data", {})
        model = {"weights": weights, "head": {"hidden": list(head)}} | sections.pop("model", {})
        path = world.config(
            "d",
            "digits-target",
            data={"train": str(data / "train"), "test": str(data / "test")} | (extra or {"validation": 0.25}),
            model=model,
            training={"epochs": epochs, "optimizer": {"learning_rate": rate}},
            **sections,
        )
        world.train("finetune", path, run_id=run_id)

    train("plain")
    train("hidden", head=[8], rate=0.02)
    train("plain2", rate=0.01)
    tuned = {
        "transfer": {"strategy": "partial", "unfreeze": "conv3"},
        "model": {"weights": weights, "head": {"taps": []}},
    }
    train("tuned", **tuned)
    train("tuned2", rate=0.001, **tuned)
    for fold in (1, 2):
        train(f"fold{fold}", data={"folds": 2, "fold": fold}, epochs=2)
    return world


def merge(
    world: Any, *names: str, to: str = "m", how: Any = "average", reporter: Reporter | None = None
) -> MergeResult:
    members = tuple(f"d/{name}" for name in names)
    return merge_runs(MergeRequest(members, to, world.runs, how), reporter or Reporter())


@pytest.fixture(scope="module")
def averaged(trained: Any) -> tuple[Any, MergeResult]:
    return trained, merge(trained, "plain", "hidden", to="average")


def stored(world: Any, name: str) -> StoredRun:
    return StoredRun.find(name, world.runs, Reporter())


def held_out_probabilities(run: StoredRun) -> dict[str, np.ndarray]:
    answers = run.held_out
    assert answers is not None
    return dict(zip(answers.paths, run.calibrate(answers.logits), strict=True))


def test_an_average_predicts_the_mean_of_its_members_predictions(averaged: Any) -> None:
    world, result = averaged
    runs = [stored(world, name) for name in ("d/plain", "d/hidden")]
    average = stored(world, "average")
    split = runs[0].split("test")
    expected = np.mean([run.probabilities(split) for run in runs], axis=0)
    from transfercli.models.tasks.outputs import softmax

    np.testing.assert_allclose(softmax(average.logits(split)), expected, atol=1e-6)
    assert result.as_json()["members"][0]["used"]
    assert {member["run"] for member in result.members} == {"d/plain", "d/hidden"}


def test_stored_answers_and_scores_are_those_of_the_model(averaged: Any) -> None:
    world, result = averaged
    run = stored(world, "average")
    assert run.held_out is not None
    split = run.split("validation")
    computed = dict(zip(split.paths, run.logits(split), strict=True))
    for path, logits in zip(run.held_out.paths, run.held_out.logits, strict=True):
        np.testing.assert_allclose(computed[path], logits, atol=CACHED)
    assert result.scored == {
        "images": len(split),
        "answers_of": "every member",
        "chosen_on_them": False,
        "left_out": 0,
        "flattered": 0,
    }
    right = np.mean(
        [computed[path].argmax() == target for path, target in zip(split.paths, split.targets, strict=True)]
    )
    assert result.metrics["val_accuracy"] == pytest.approx(right, abs=0.03)
    best = result.gains["best_member"]["val_accuracy"]
    assert best["before"] == max(member["val_accuracy"] for member in result.members)
    assert best["difference"] == pytest.approx(best["merged"] - best["before"])
    json.dumps(result.as_json(), allow_nan=False)


def test_an_average_on_one_frozen_base_has_that_base_once(averaged: Any) -> None:
    world, _ = averaged
    tensors = stored(world, "average").read_checkpoint().model
    assert {name for name in tensors if name.startswith("base/")} == {
        name for name in stored(world, "d/plain").read_checkpoint().model if name.startswith("base/")
    }
    assert "head/member2_logits/kernel" in tensors


@pytest.mark.slow
def test_an_average_is_evaluated_and_exported_like_any_run(averaged: Any, tmp_path: Path) -> None:
    from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run
    from transfercli.workflows.export.export import ExportRunRequest, export_run

    world, _ = averaged
    evaluation = evaluate_run(EvaluateRequest("average", world.runs), Reporter()).evaluation
    assert evaluation.examples == evaluation.honest_examples == 5 * FEW["test"]
    assert (world.runs / "average" / "latest" / "evaluation" / "test" / "report.html").is_file()
    request = ExportRunRequest("average", world.runs, ("saved_model", "onnx", "keras"), out=tmp_path / "out")
    for artefact in export_run(request, Reporter()).artefacts:
        assert artefact["max_abs_diff"] < 1e-5
        assert artefact["label_agreement"] == 1
    assert "merged from d/" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="torch_safetensors: the run is an average of 2 networks"):
        export_run(ExportRunRequest("average", world.runs, ("torch_safetensors",)), Reporter())


@pytest.mark.slow
def test_layers_below_the_trained_ones_are_shared(trained: Any) -> None:
    merge(trained, "tuned", "plain", "tuned2", to="upper")
    run = stored(trained, "upper")
    names = [name for name in run.read_checkpoint().model if name.startswith("base/member")]
    assert {name.split("/")[1].split("_", 1)[1] for name in names} == {"conv3"}
    split = run.split("test")
    expected = np.mean(
        [stored(trained, f"d/{name}").probabilities(split) for name in ("tuned", "plain", "tuned2")], axis=0
    )
    from transfercli.models.tasks.outputs import softmax

    np.testing.assert_allclose(softmax(run.logits(split)), expected, atol=1e-6)


@pytest.mark.parametrize("names", [("plain", "plain2"), ("tuned", "tuned2")], ids=["linear", "trained base"])
def test_a_soup_is_a_plain_run_whose_stored_answers_are_those_of_its_weights(trained: Any, names: Any) -> None:
    result = merge(trained, *names, to=f"soup-{names[0]}", how="soup")
    run, runs = stored(trained, f"soup-{names[0]}"), [stored(trained, f"d/{name}") for name in names]
    used = [member["run"].split("/")[1] for member in result.members if member["used"]]
    weights = [stored(trained, f"d/{name}").read_checkpoint().model for name in used]
    tensors = run.read_checkpoint().model
    for name in weights[0]:
        np.testing.assert_allclose(tensors[name], np.mean([each[name] for each in weights], axis=0), rtol=1e-5)
    assert run.config.model.members == []
    split = run.split("validation")
    computed = dict(zip(split.paths, run.logits(split), strict=True))
    assert run.held_out is not None
    for path, logits in zip(run.held_out.paths, run.held_out.logits, strict=True):
        np.testing.assert_allclose(computed[path], logits, atol=CACHED)
    assert result.metrics["val_accuracy"] >= max(np.mean(_right(one)) for one in runs)
    assert result.scored["chosen_on_them"]


def _right(run: StoredRun) -> np.ndarray:
    assert run.held_out is not None
    right: np.ndarray = run.held_out.logits.argmax(axis=1) == run.held_out.targets
    return right


def test_folds_are_scored_by_the_fold_that_held_each_image_out(trained: Any) -> None:
    from transfercli.workflows.known_images import known_images

    result = merge(trained, "fold2", "fold1", to="cv")
    folds, run = [stored(trained, f"d/fold{fold}") for fold in (1, 2)], stored(trained, "cv")
    assert result.scored["answers_of"] == "the member that held the image out"
    assert result.scored["images"] == sum(len(_right(fold)) for fold in folds)
    assert result.metrics["val_accuracy"] == pytest.approx(np.concatenate([_right(fold) for fold in folds]).mean())
    assert result.gains == {}
    assert run.record.refitted
    for split in ("train", "validation"):
        known = known_images(run, run.split(split), Reporter(), own=split == "validation")
        assert known.left_out.all()
    test = run.split("test")
    assert not known_images(run, test, Reporter(), own=True).left_out.any()
    with pytest.raises(ArtefactError, match="each fold learnt from the images that the others held out"):
        merge(trained, "fold1", "fold2", to="cv-soup", how="soup")
    assert not (trained.runs / "cv-soup").exists()


def test_the_same_merge_again_gives_the_run_that_is_there(averaged: Any) -> None:
    world, result = averaged
    listener = Listener()
    again = merge(world, "hidden", "plain", to="average", reporter=listener)
    assert again.as_json() == result.as_json()
    assert any("complete already" in text for text in listener.infos)
    with pytest.raises(ConfigError, match="is not this merge: it was made of d/"):
        merge(world, "plain", "plain2", to="average")
    with pytest.raises(ConfigError, match="it was trained"):
        merge(world, "plain", "hidden", to="d/tuned")
    named = merge(world, "plain", "hidden", to="average/second")
    assert named.run == world.runs / "average" / "second"


def test_what_cannot_be_merged_is_refused_before_anything_is_written(trained: Any, averaged: Any) -> None:
    with pytest.raises(UsageError, match="takes two or more"):
        merge(trained, "plain", to="x")
    with pytest.raises(UsageError, match="named twice"):
        merge(trained, "plain", "plain", to="x")
    with pytest.raises(UsageError, match="does not name a run"):
        merge(trained, "plain", "hidden", to="../x")
    with pytest.raises(ArtefactError, match=r"model\.head\.hidden \(\[\] and \[8\]\)"):
        merge(trained, "plain", "hidden", to="x", how="soup")
    with pytest.raises(ArtefactError, match="no image was held out by all"):
        merge(trained, "fold1", "plain", "fold2", to="x")
    with pytest.raises(ArtefactError, match="average of several models itself") as caught:
        merge_runs(MergeRequest(("average", "d/plain2"), "x", trained.runs), Reporter())
    assert "d/plain" in str(caught.value.hint)
    with pytest.raises(ArtefactError, match="only the first has '5'"):
        merge_runs(MergeRequest(("d/plain", "digits-source"), "x", _with_source(trained)), Reporter())
    with experiment_lock(trained.runs / "x"), pytest.raises(BusyError):
        merge(trained, "plain", "hidden", to="x")
    assert not (trained.runs / "x").exists()


def _with_source(world: Any) -> Path:
    """The runs folder, with the run of the parent in it, too."""
    parent = Path(stored(world, "d/plain").config.model.weights.run)  # type: ignore[union-attr]
    target = world.runs / "digits-source" / "a"
    if not target.exists():
        shutil.copytree(parent, target, symlinks=True)
    return Path(world.runs)


def test_runs_without_stored_answers_are_scored_by_a_forward_pass(trained: Any, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name in ("plain", "hidden"):
        shutil.copytree(trained.runs / "d" / name, runs / "d" / name, symlinks=True)
        (runs / "d" / name / "held_out.safetensors").unlink()
        _repoint(trained, RunFolder(runs / "d" / name))
    result = merge_runs(MergeRequest(("d/plain", "d/hidden"), "m", runs), Reporter())
    expected = merge(trained, "plain", "hidden", to="average")
    assert result.metrics == pytest.approx(expected.metrics, abs=0.03)


def _repoint(world: Any, run: RunFolder) -> None:
    record = json.loads(run.record.read_text(encoding="utf-8"))
    record["config_folder"] = str(world.folder)
    run.record.write_text(json.dumps(record), encoding="utf-8")


def test_a_failure_in_the_middle_leaves_no_run(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("transfercli.workflows.merge.new_run.write_held_out", fail)
    with pytest.raises(Exception, match=r"full|space"):
        merge(trained, "plain", "hidden", to="broken")
    assert not (trained.runs / "broken").exists()
    monkeypatch.setattr("transfercli.workflows.merge.new_run.write_held_out", write_held_out)
    assert merge(trained, "plain", "hidden", to="broken").status == "completed"


def test_honest_metrics_leave_out_what_any_member_learnt_from(averaged: Any) -> None:
    from transfercli.workflows.known_images import known_images
    from transfercli.workflows.lineage import generations

    world, _ = averaged
    run = stored(world, "average")
    names = [name for name, _ in generations(run)]
    assert {"d/plain", "d/hidden"} < set(names)
    assert len(names) == 3, "and the run that both started from, once"
    train = run.other_images(world.folder / "data" / "train", "test")
    assert known_images(run, train, Reporter(), own=False).left_out.all()


@pytest.mark.parametrize("how", ["average", "soup"])
def test_images_that_an_ancestor_learnt_from_show_no_gain(how: Any, trained: Any, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name in ("plain", "plain2"):
        shutil.copytree(trained.runs / "d" / name, runs / "d" / name, symlinks=True)
        _repoint(trained, RunFolder(runs / "d" / name))
        config = yaml.safe_load((runs / "d" / name / "config.yaml").read_text(encoding="utf-8"))
        config["model"]["weights"] = {"run": StoredRun(RunFolder(runs / "d" / name)).record.parent}
        (runs / "d" / name / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    parent = Path(StoredRun(RunFolder(runs / "d" / "plain")).record.parent or "")
    shutil.copytree(runs / "d" / "plain", runs / parent, symlinks=True)
    images = StoredRun(RunFolder(runs / "d" / "plain")).images
    held_out = [image.path for image in images if image.split == "validation"]

    def merge_after(learnt: set[str], name: str) -> tuple[MergeResult, Listener]:
        """Merge runs whose parent trained on these images."""
        use = {"train": "", "validation": "", "test": "", "": ""}
        records = [replace(one, split="train" if one.path in learnt else use[one.split]) for one in images]
        write_manifest(runs / parent / "dataset.csv", records)
        reporter = Listener()
        return merge_runs(MergeRequest(("d/plain", "d/plain2"), name, runs, how), reporter), reporter

    some, listener = merge_after(set(held_out[20:]), "some")
    assert (some.scored["images"], some.scored["left_out"], some.scored["flattered"]) == (20, len(held_out) - 20, 0)
    assert set(held_out_probabilities(StoredRun(RunFolder(some.run)))) == set(held_out[:20])
    assert some.gains
    assert any("these are left out" in text for text in listener.warnings)
    every, listener = merge_after(set(held_out[4:]), "every")
    assert (every.scored["images"], every.scored["flattered"]) == (len(held_out), len(held_out) - 4)
    assert every.gains == {}
    assert any("no gain is shown" in text for text in listener.warnings)


def test_a_merged_run_cannot_be_trained_on(averaged: Any) -> None:
    world, result = averaged
    with pytest.raises(ConfigError, match=r"model\.members"):
        world.train("finetune", result.run / "config.yaml")
    with pytest.raises(UsageError, match="nothing to resume"):
        world.train("finetune", None, resume=str(result.run))
