import json

import pytest

from transfercli.errors import ArtefactError
from transfercli.runs import champions, decisions
from transfercli.runs.decisions import Decision


@pytest.fixture
def experiment(tmp_path):
    """An experiment with four runs that say they are complete."""
    for run_id in ("a", "b", "c", "d"):
        folder = tmp_path / "exp" / run_id
        (folder / "checkpoints" / "epoch-00001").mkdir(parents=True)
        (folder / "checkpoints" / "last").symlink_to("epoch-00001")
        (folder / "run.json").write_text(json.dumps({"status": "completed"}))
    return tmp_path / "exp"


def crown(experiment, run_id, how="promoted"):
    champions.promote_run(experiment, Decision(how, "it was better", run_id, run_id))


def test_there_is_no_champion_at_first(experiment):
    assert champions.champion_of(experiment) is None
    assert champions.apply_last_promotion(experiment) is None


def test_a_promotion_is_logged_and_the_link_is_relative(experiment):
    crown(experiment, "a", "first")
    assert str((experiment / "champion").readlink()) == "a"
    assert [one.decision for one in decisions.read(experiment)] == ["first"]


def test_a_promotion_that_was_logged_and_not_carried_out_is_carried_out_at_the_next_start(experiment):
    crown(experiment, "a", "first")
    decisions.append(experiment, Decision("promoted", "then it died", "b", "b"))
    assert champions.champion_of(experiment).run_id == "a"
    assert champions.apply_last_promotion(experiment).run_id == "b"
    assert str((experiment / "champion").readlink()) == "b"


def test_a_decision_that_promotes_nobody_leaves_the_champion(experiment):
    crown(experiment, "a", "first")
    decisions.append(experiment, Decision("rejected", "worse", "a", "b"))
    assert champions.apply_last_promotion(experiment).run_id == "a"


def test_a_line_that_a_kill_cut_short_decides_nothing(experiment):
    crown(experiment, "a", "first")
    with (experiment / "decisions.jsonl").open("a") as file:
        file.write('{"decision": "promoted", "champion": "b", "rea')
    assert champions.apply_last_promotion(experiment).run_id == "a"
    crown(experiment, "c")
    assert [one.champion for one in decisions.read(experiment)] == ["a", "c"]


def test_going_back_twice_goes_back_two_champions(experiment):
    for run_id in ("a", "b", "c"):
        crown(experiment, run_id)
    assert champions.previous_champion(experiment).run_id == "b"
    crown(experiment, "b", "rolled back")
    assert champions.previous_champion(experiment).run_id == "a"
    crown(experiment, "d")
    assert champions.previous_champion(experiment).run_id == "b"


def test_with_one_champion_there_is_none_to_go_back_to(experiment):
    crown(experiment, "a", "first")
    with pytest.raises(ArtefactError, match="no earlier champion"):
        champions.previous_champion(experiment)


def test_a_champion_before_that_was_removed_is_told(experiment):
    crown(experiment, "a", "first")
    crown(experiment, "b")
    (experiment / "a" / "run.json").unlink()
    with pytest.raises(ArtefactError, match="exp/a"):
        champions.previous_champion(experiment)


def test_a_run_that_is_not_complete_cannot_be_champion(experiment):
    (experiment / "a" / "run.json").write_text(json.dumps({"status": "interrupted"}))
    with pytest.raises(ArtefactError, match="interrupted"):
        champions.require_completed(champions.RunFolder(experiment / "a"))


def test_the_last_word_about_the_data_is_not_one_by_hand_or_an_error(experiment):
    for word in ("kept", "failed", "by hand"):
        decisions.append(experiment, Decision(word, "so it was", "a", fingerprint=word))
    assert decisions.last_retrain_decision(decisions.read(experiment)).decision == "kept"


def test_a_class_named_with_a_line_separator_leaves_its_decision_whole(experiment):
    crown(experiment, "a", "first")
    decisions.append(experiment, Decision("kept", "recall[caf\u2028e\x85] is 0.5", "a", "b", facts={"x": "\u2029"}))
    assert [one.decision for one in decisions.read(experiment)] == ["first", "kept"]


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"decision": "promoted", "reason": "r", "champion": "../other/x"}',
        '{"decision": "promoted", "reason": "r", "champion": ["b"]}',
        '{"decision": "kept", "reason": "r", "champion": "a", "time": 7}',
        '{"decision": "kept", "reason": "r", "champion": "a", "facts": "none"}',
        '{"decision": {}, "reason": "r", "champion": "a"}',
        "null",
    ],
)
def test_a_damaged_line_decides_nothing(experiment, line):
    crown(experiment, "a", "first")
    with (experiment / "decisions.jsonl").open("a") as file:
        file.write(line + "\n")
    assert [one.decision for one in decisions.read(experiment)] == ["first"]
    assert champions.apply_last_promotion(experiment).run_id == "a"


def test_a_log_that_cannot_be_read_is_no_empty_one(experiment):
    (experiment / "decisions.jsonl").mkdir()
    with pytest.raises(ArtefactError, match="cannot be read"):
        decisions.read(experiment)


def test_a_champion_link_that_leads_out_of_the_experiment_names_no_champion(experiment):
    other = experiment.parent / "other" / "x"
    other.mkdir(parents=True)
    (other / "run.json").write_text(json.dumps({"status": "completed"}))
    (experiment / "champion").symlink_to("../other/x")
    assert champions.champion_of(experiment) is None


def test_the_log_decides_against_a_link_that_was_set_by_hand(experiment):
    crown(experiment, "a", "first")
    (experiment / "champion").unlink()
    (experiment / "champion").symlink_to("c")
    assert champions.apply_last_promotion(experiment).run_id == "a"
