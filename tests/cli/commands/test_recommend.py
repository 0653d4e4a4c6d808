"""`recommend` on the command line: options, table, sentence and the command that follows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from transfercli.cli.app import app
from transfercli.cli.commands.recommend import _show
from transfercli.cli.next_steps import after_recommendation
from transfercli.errors import Interrupted
from transfercli.workflows.recommend.measure import Cost
from transfercli.workflows.recommend.ranking import Difference, Rank
from transfercli.workflows.recommend.result import BaseRow, ComparisonStopped, Recommendation

SAME = Difference(0.0, (0.0, 0.0), 0.0, 0.0)


def row(name: str, accuracy: float, loss: float, seconds: float, **marks: bool) -> BaseRow:
    difference = SAME if accuracy == 0.9 else Difference(accuracy - 0.9, (-0.1, 0.1), loss - 0.3, 0.02)
    marks = {"tied": False, "as_good": False, "pareto": False, "recommended": False} | marks
    place = Rank(accuracy, (accuracy - 0.05, accuracy + 0.05), loss, 0.02, difference, **marks)
    cost = Cost(seconds, 10**6, 4 * 10**6, 10**9)
    return BaseRow(name, name, "imagenet", (224, 224), (f"model.base={name}",), cost, place)


def result(*rows: BaseRow) -> Recommendation:
    missing = BaseRow("resnet50", "resnet50", "imagenet", (224, 224), (), problem="its weights are not here")
    return Recommendation([*rows, missing], 500, None)


BEST = row("efficientnet_lite0", 0.9, 0.3, 0.02, tied=True, as_good=True, pareto=True)
CHEAP = row("mobilenetv2", 0.89, 0.31, 0.004, tied=True, as_good=True, pareto=True, recommended=True)


def test_the_table_fits_eighty_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    _show(result(BEST, CHEAP))
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "+0.010±0.020" in printed


def test_the_table_has_the_paired_difference_and_a_sentence_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    _show(result(BEST, CHEAP))
    printed = capsys.readouterr().out
    table = printed.splitlines()[:4]
    assert "difference" in table[0]
    assert table[3].split()[5] == "+0.010±0.020"
    assert table[2].split() == [
        "efficientnet_lite0",
        "224",
        "0.900",
        "0.850-0.950",
        "0.300",
        "best",
        "20.0",
        "4",
        "p=",
        "imagenet",
    ]
    assert "mobilenetv2 is recommended: cheaper than efficientnet_lite0" in printed
    assert "(-1.0 points)" in printed
    assert "not compared: resnet50: its weights are not here" in printed
    assert "in the config: model.base=mobilenetv2" in printed


@pytest.mark.parametrize("left_out, hint", [(0, "which more labelled images may do"), (700, "may do (--images)")])
def test_more_images_are_proposed_only_if_some_were_left_out(
    left_out: int, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    best, other = replace(BEST, rank=replace(BEST.rank, recommended=True)), row("vgg16", 0.89, 0.31, 0.09, tied=True)
    _show(replace(result(best, other), left_out=left_out))
    assert hint in capsys.readouterr().out


def test_the_next_command_trains_the_recommended_base() -> None:
    own = {"config": Path("flowers.yaml"), "overrides": ["training.epochs=5"], "runs": Path("runs")}
    words = after_recommendation(own, result(BEST, CHEAP))
    assert list(map(str, words)) == [
        *("finetune", "flowers.yaml", "--set", "training.epochs=5", "--set", "model.base=mobilenetv2")
    ]


@pytest.mark.parametrize("as_json", [False, True])
def test_after_a_stop_the_bases_that_were_measured_are_printed(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    def stopped(*_: object) -> None:
        raise ComparisonStopped(Interrupted(2), replace(result(CHEAP), complete=False))

    monkeypatch.setattr("transfercli.workflows.recommend.recommend.recommend_base", stopped)
    done = CliRunner().invoke(app, ["recommend", "config.yaml", *["--json"] * as_json])
    assert done.exit_code == 130
    assert "stopped on request: 1 of 2 bases are compared" in done.stderr
    if as_json:
        assert json.loads(done.stdout)["complete"] is False
    else:
        assert "mobilenetv2" in done.stdout


@pytest.mark.parametrize(
    "options",
    [["--bases", "vgg16,,resnet50"], ["--image-sizes", "96,big"], ["--image-sizes", "0"], ["--images", "1"]],
)
def test_lists_with_an_empty_place_and_sizes_of_no_pixels_are_usage_errors(options: list[str]) -> None:
    assert CliRunner().invoke(app, ["recommend", "config.yaml", *options]).exit_code == 2


@pytest.mark.parametrize(
    "options, code, text",
    [
        (["--bases", "resnet51"], 2, "did you mean resnet50?"),
        (["--bases", "vgg16", "-o", "bases.pdf"], 2, "must end with .png"),
        (["--set", "model.base=resnet51"], 3, "model.base"),
        ([], 7, "no base has its weights on this machine"),
    ],
)
def test_exit_codes(write: Callable[..., Path], options: list[str], code: int, text: str) -> None:
    config = write("name: flowers\ndata: {train: data}\nmodel: {base: vgg16}\n")
    done = CliRunner().invoke(app, ["recommend", str(config), "--json", *options])
    assert done.exit_code == code
    assert json.loads(done.stdout)["error"]["code"] == code
    assert text in done.output
