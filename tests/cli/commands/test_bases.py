"""`bases list` on the command line."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from transfercli.cli.app import app


def test_names_are_read_as_others_write_them_and_unknown_ones_get_a_suggestion() -> None:
    done = CliRunner().invoke(app, ["bases", "list", "EfficientNet_B0", "--json"])
    assert [row["name"] for row in json.loads(done.stdout)["bases"]] == ["efficientnetb0"]
    done = CliRunner().invoke(app, ["bases", "list", "resnet-51"])
    assert done.exit_code == 2
    assert "did you mean 'resnet50'?" in done.output.replace("\n", " ")


def test_the_table_has_a_row_for_each_base_and_says_what_its_columns_mean() -> None:
    shown = CliRunner().invoke(app, ["bases", "list", "resnet50", "small_cnn"]).stdout
    assert [line.split()[0] for line in shown.splitlines()[2:4]] == ["resnet50", "small_cnn"]
    assert "74.9" in shown
    assert "3.86" in shown
    assert "next: transfercli config init" in shown
    assert "2 bases, " in shown


def test_an_ambiguous_name_is_answered_by_the_bases_it_may_be() -> None:
    done = CliRunner().invoke(app, ["bases", "list", "NAS_Net"], env={"COLUMNS": "1000", "NO_COLOR": "1"})
    assert done.exit_code == 2
    assert "it may be 'nasnetmobile', 'nasnetlarge': name one of them" in done.output
    assert "'vgg16'" not in done.output  # over forty names would hide the answer


def test_a_family_is_read_in_any_spelling_and_an_unknown_one_gets_a_suggestion() -> None:
    done = CliRunner().invoke(app, ["bases", "list", "--family", "nas-net", "--json"])
    assert [row["name"] for row in json.loads(done.stdout)["bases"]] == ["nasnetmobile", "nasnetlarge"]
    done = CliRunner().invoke(app, ["bases", "list", "--family", "DenseNets"])
    assert done.exit_code == 2
    assert "did you mean 'DenseNet'?" in done.output.replace("\n", " ")
