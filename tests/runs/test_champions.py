import json

import pytest

from tests.runs.crowns import crown
from transfercli.errors import ArtefactError
from transfercli.runs import champions, decisions
from transfercli.runs.decisions import Decision


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
