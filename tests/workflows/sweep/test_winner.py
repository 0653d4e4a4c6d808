"""The winner of a sweep: scores beside one another, trials as good as it, and the looks at the test images."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from transfercli.data.manifest import write_manifest
from transfercli.evaluation.held_out import read_held_out, write_held_out
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.sweep.looks import LOOKS_FILE
from transfercli.workflows.sweep.result import TrialRow
from transfercli.workflows.sweep.winner import Winner, choose_winner


class Warnings(Reporter):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def warning(self, text: str) -> None:
        self.texts.append(text)


class Sweep:
    """Trials that are copies of one trained run, with answers of given accuracies."""

    def __init__(self, folder: Path, run: Path) -> None:
        self.runs, self.run, self.folder = folder / "digits-source", run, folder / "digits-source" / "sweeps" / "s"
        self.folder.mkdir(parents=True)
        self.answers = read_held_out(run / "held_out.safetensors")
        self.rows: list[TrialRow] = []

    def trial(self, wrong: int, margin: float = 2.0, images: slice = slice(None)) -> Path:
        """Add a trial that misclassifies the first `wrong` images."""
        number = len(self.rows)
        path = self.runs / f"s-{number:03d}"
        shutil.copytree(self.run, path, symlinks=True)
        shutil.rmtree(path / "evaluation", ignore_errors=True)
        targets = self.answers.targets
        answered = np.where(np.arange(len(targets)) < wrong, (targets + 1) % 5, targets)
        logits = (np.eye(5)[answered] * margin).astype("float32")
        write_held_out(path / "held_out.safetensors", self.answers.paths[images], targets[images], logits[images])
        value = 1 - wrong / len(targets)
        self.rows.append(TrialRow(number, {"training.epochs": number}, "completed", path, (path,), value))
        return path

    def comes_from_a_run_that_trained_on(self, trial: int, images: slice) -> None:
        """Give a trial a parent, which trained on some of the images that score the trial."""
        parent, path = self.folder.parents[2] / "memory" / f"m-{trial}", self.rows[trial].run
        shutil.copytree(self.run, parent, symlinks=True)
        stored = StoredRun(RunFolder(parent))
        known, use = set(self.answers.paths[images]), {"train": "", "validation": "", "test": "test"}
        records = [replace(one, split="train" if one.path in known else use[one.split]) for one in stored.images]
        write_manifest(parent / "dataset.csv", records)
        facts = json.loads((path / "run.json").read_text())
        (path / "run.json").write_text(json.dumps(facts | {"parent": f"memory/{parent.name}"}))
        config = (path / "config.yaml").read_text()
        assert "weights: none" in config
        (path / "config.yaml").write_text(config.replace("weights: none", f"weights: {{run: memory/{parent.name}}}"))

    def winner(self, metric: str = "val_accuracy", *, final: bool = True, reporter: Reporter | None = None) -> Winner:
        result = choose_winner(self.rows, metric, 0, reporter or Reporter(), self.folder if final else None)
        assert result is not None
        return result


@pytest.fixture
def sweep(tmp_path: Path, source) -> Sweep:
    world, result = source
    return Sweep(tmp_path, world.folder / result["run"])


def test_the_scores_stand_beside_one_another(sweep):
    for wrong in (9, 6, 7, 60):
        sweep.trial(wrong)
    winner = sweep.winner()
    images = len(sweep.answers)
    assert winner.row.number == 1
    assert winner.naive == pytest.approx(1 - 6 / images)
    assert winner.interval[0] < winner.corrected < winner.interval[1]
    assert winner.corrected <= winner.naive
    result = json.loads(json.dumps(winner.as_json()))
    assert result["bias"] == pytest.approx(result["naive"] - result["corrected"])
    assert (result["images"], result["trials"], result["looks"], result["reason"]) == (images, 4, 1, None)
    assert result["test"]["value"] == result["test"]["metrics"]["accuracy"]
    assert [rival["trial"] for rival in result["indistinguishable"]] == [1, 2, 0]
    assert "best of 4" in result["summary"]
    assert "to be expected on new images" in result["summary"]
    assert f"on the {result['test']['examples']} test images" in result["summary"]
    assert "3 of the 4 trials are not distinguishable" in result["lines"][1]
    assert result["lines"][1].endswith(": 1, 2, 0")


@pytest.mark.slow
def test_the_test_images_are_evaluated_once_for_each_winner(sweep):
    sweep.trial(9)
    first = sweep.winner()
    assert first.test.looks == 1
    record = (sweep.folder / LOOKS_FILE).read_bytes()
    shutil.rmtree(first.row.run / "evaluation")
    assert sweep.winner().test == first.test
    assert not (first.row.run / "evaluation").exists()  # not again
    assert (sweep.folder / LOOKS_FILE).read_bytes() == record

    sweep.trial(3)
    not_final = sweep.winner(final=False)
    assert (not_final.row.number, not_final.test) == (1, None)
    second = sweep.winner()
    assert (second.row.number, second.test.looks) == (1, 2)
    assert "have scored 2 winners of the sweeps of this experiment" in second.lines()[-1]
    assert not (first.row.run / "evaluation").exists()

    earlier, sweep.folder = sweep.folder, sweep.folder.with_name("s2")
    sweep.folder.mkdir()
    assert sweep.winner().test.looks == 3  # another sweep of the experiment
    sweep.folder = earlier
    assert sweep.winner().test.looks == 2  # it came before


def test_only_completed_trials_win(sweep):
    for wrong in (9, 0, 0):
        sweep.trial(wrong)
    sweep.rows[1] = replace(sweep.rows[1], state="pruned", value=None)
    sweep.rows[2] = replace(sweep.rows[2], state="failed", value=None)
    winner = sweep.winner(final=False)
    assert (winner.row.number, winner.trials, winner.corrected) == (0, 1, None)
    assert "one model" in winner.reason
    assert winner.summary.startswith("accuracy 0.")
    assert "best of" not in winner.summary
    assert choose_winner(sweep.rows[1:], "val_accuracy", 0, Reporter(), None) is None


def test_equal_accuracies_are_decided_by_the_loss(sweep):
    for margin in (1.0, 2.0, 2.0):
        sweep.trial(5, margin)
    assert sweep.winner(final=False).row.number == 1


def test_the_lowest_loss_wins_if_it_is_the_metric(sweep):
    sweep.trial(5, margin=2.0)
    sweep.trial(6, margin=12.0)
    winner = sweep.winner("val_loss", final=False)
    assert winner.row.number == 0
    assert winner.corrected >= winner.naive


def test_trials_of_other_images_are_left_out_with_a_warning(sweep):
    sweep.trial(0, images=slice(-40, None))
    sweep.trial(9, images=slice(0, -10))
    sweep.trial(8, images=slice(0, -10))
    reporter = Warnings()
    winner = sweep.winner(final=False, reporter=reporter)
    assert winner.row.number == 2
    assert winner.images == len(sweep.answers) - 10
    assert winner.as_json()["left_out"] == [{"trial": 0, "reason": "it was scored by other images"}]
    assert (
        "1 trial cannot be compared with the others, and cannot win: 0 (it was scored by other images)"
        in reporter.texts[0]
    )


def test_trials_that_were_scored_by_more_images_are_compared_by_the_common_ones(sweep):
    sweep.trial(0, images=slice(0, 30))
    sweep.trial(20)
    sweep.trial(9)
    winner = sweep.winner(final=False)
    assert (winner.row.number, winner.images, winner.trials, winner.left_out) == (0, 30, 3, ())
    assert [rival.row.number for rival in winner.indistinguishable] == [0]
    sweep.trial(9, images=slice(20, None))  # as many trials have these as the first 30, and they are more
    assert [row.number for row, _ in sweep.winner(final=False).left_out] == [0]


def test_runs_without_answers_give_the_naive_score_and_the_reason(sweep):
    for wrong in (9, 5, 7):
        (sweep.trial(wrong) / "held_out.safetensors").unlink()
    winner = sweep.winner(final=False)
    assert (winner.row.number, winner.corrected, winner.interval) == (1, None, None)
    assert "keep no answers" in winner.reason
    assert winner.as_json()["method"] is None
    assert "not corrected" in winner.lines()[1]


def test_a_sweep_whose_runs_are_gone_still_has_its_best_value(sweep):
    for wrong in (9, 5):
        shutil.rmtree(sweep.trial(wrong))
    reporter = Warnings()
    winner = sweep.winner(reporter=reporter)
    assert (winner.row.number, winner.corrected, winner.test) == (1, None, None)
    assert "not evaluated on the test images" in reporter.texts[-1]


def test_a_trial_whose_run_is_not_here_is_left_out_and_no_test_image_is_read(sweep):
    for wrong in (5, 9, 7):
        sweep.trial(wrong)
    sweep.rows[0] = replace(sweep.rows[0], run=None, runs=())
    reporter = Warnings()
    winner = sweep.winner(reporter=reporter)
    assert (winner.row.number, winner.trials, winner.test) == (2, 2, None)
    assert winner.as_json()["left_out"] == [{"trial": 0, "reason": "its run is not here"}]
    assert "no test image is read" in reporter.texts[0]
    assert "0 (its run is not here)" in reporter.texts[1]


def test_a_damaged_record_of_looks_is_a_warning(sweep):
    sweep.trial(9)
    (sweep.folder / LOOKS_FILE).write_text("{}", encoding="utf-8")
    reporter = Warnings()
    assert sweep.winner(reporter=reporter).test is None
    assert f"{LOOKS_FILE} is damaged" in reporter.texts[-1]


def test_a_damaged_file_of_answers_leaves_its_trial_out(sweep):
    sweep.trial(9)
    sweep.trial(8)
    (sweep.trial(0) / "held_out.safetensors").write_bytes(b"damaged")
    winner = sweep.winner(final=False)
    assert winner.row.number == 1
    assert [row.number for row, _ in winner.left_out] == [2]


def test_a_cheaper_trial_within_one_standard_error_is_offered(sweep):
    for wrong in (6, 5, 5):
        sweep.trial(wrong)
    for row in sweep.rows[1:]:
        config = row.run / "config.yaml"
        config.write_text(config.read_text(encoding="utf-8").replace("image_size: 32", "image_size: 64"), "utf-8")
    winner = sweep.winner(final=False)
    assert winner.row.number == 1
    assert winner.one_standard_error.row.number == 0
    assert "trial 0 predicts at 25% of its multiply-adds and is within one standard error" in winner.lines()[-1]
    assert "trial 2 has the same accuracy as trial 1: of equal ones the lower log loss before calibration wins" in (
        winner.lines()
    )


def test_the_winner_itself_is_offered_if_no_cheaper_trial_is_as_good(sweep):
    sweep.trial(5)
    sweep.trial(6)
    winner = sweep.winner(final=False)
    assert winner.one_standard_error.row.number == 0
    assert len(winner.lines()) == 2


def test_fold_runs_of_a_trial_are_pooled(sweep):
    half = len(sweep.answers) // 2
    paths = [sweep.trial(6, images=part) for part in (slice(0, half), slice(half, None))]
    sweep.rows = [TrialRow(number, {}, "completed", None, tuple(paths), 0.9) for number in (0, 1)]
    winner = sweep.winner()
    assert winner.images == len(sweep.answers)
    assert winner.naive == pytest.approx(1 - 6 / len(sweep.answers))
    assert winner.as_json()["run"] is None
    assert " out of fold, the best of 2; " in winner.summary
    assert 0.5 < winner.test.value("accuracy") <= 1  # of the mean probabilities


def test_images_that_an_ancestor_learnt_from_choose_and_score_no_trial(sweep):
    half = len(sweep.answers) // 2
    sweep.trial(half + 4)  # right on the other half only, but for 0
    sweep.trial(half // 2)
    sweep.rows[0] = replace(sweep.rows[0], value=1.0)
    images = slice(half, None)
    sweep.comes_from_a_run_that_trained_on(0, images)
    reporter = Warnings()
    winner = sweep.winner(final=False, reporter=reporter)
    assert (winner.row.number, winner.images, winner.trials, winner.left_out) == (1, half, 2, ())
    assert winner.naive == pytest.approx(1 - (half // 2) / half)
    assert winner.learnt == winner.as_json()["learnt"] == len(sweep.answers) - half
    assert "do not choose the winner" in reporter.texts[-1]
    assert any("other images of the trials, as an ancestor" in line for line in winner.lines())


def test_a_trial_whose_ancestor_learnt_from_all_images_cannot_win(sweep):
    for wrong in (0, 9, 7):
        sweep.trial(wrong)
    sweep.comes_from_a_run_that_trained_on(0, slice(None))
    winner = sweep.winner(final=False)
    assert (winner.row.number, winner.images, winner.trials, winner.learnt) == (2, len(sweep.answers), 2, 0)
    assert winner.corrected is not None
    assert [row.number for row, _ in winner.left_out] == [0]
    assert any("cannot win: 0 (an ancestor learnt from" in line for line in winner.lines())


def test_no_score_is_corrected_if_ancestors_learnt_from_the_images(sweep):
    for number, wrong in enumerate((9, 5)):
        sweep.trial(wrong)
        sweep.comes_from_a_run_that_trained_on(number, slice(4, None))
    reporter = Warnings()
    winner = sweep.winner(final=False, reporter=reporter)
    assert (winner.row.number, winner.corrected, winner.images) == (1, None, None)
    assert f"learnt from {len(sweep.answers) - 4} of the {len(sweep.answers)} images" in winner.reason
    assert "may be too good" in winner.lines()[1]
    assert "is not corrected" in reporter.texts[-1]


def test_test_images_that_an_ancestor_learnt_from_do_not_count(sweep):
    sweep.trial(9)
    images = [image for image in StoredRun(RunFolder(sweep.rows[0].run)).images if image.split == "test"]
    sweep.answers = replace(sweep.answers, paths=tuple(image.path for image in images))
    sweep.comes_from_a_run_that_trained_on(0, slice(10, None))
    winner = sweep.winner()
    test = winner.as_json()["test"]
    assert (test["examples"], test["learnt"]) == (10, len(images) - 10)
    assert "on the 10 test images" in winner.summary
    assert any("other test images, as the winner" in line for line in winner.lines())
