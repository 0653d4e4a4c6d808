"""`transfercli config …` from the outside: exit codes, what goes to stdout and what is not imported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from transfercli.cli.commands.config import app
from transfercli.config.loader import load

Write = Callable[..., Path]

MINIMAL = "name: flowers\ndata: {train: images}\nmodel: {base: small_cnn}\n"
FULL = (
    MINIMAL
    + "augmentation: {preset: light}\nevaluation: {metrics: [accuracy], gates: {ece: '<=0.1'}}\n"
    + "training: {optimizer: {name: sgd}, schedule: {name: cosine}}\nexport: {formats: [keras]}\n"
)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_validate_says_ok_for_every_file(write: Write) -> None:
    files = [write(MINIMAL, "a.yaml"), write(FULL, "b.yaml")]
    found = run("validate", *files)
    assert found.exit_code == 0
    assert found.stdout == f"{files[0]}: ok\n{files[1]}: ok\n\nnext: transfercli data check {files[0]}\n"


def test_validate_reports_every_error_of_every_file(write: Write) -> None:
    files = [
        write(MINIMAL + "seed: -1\nsede: 1\n", "a.yaml"),
        write(MINIMAL, "b.yaml"),
        write("name: x\nname: y\n", "c.yaml"),
    ]
    found = run("validate", *files)
    assert (found.exit_code, found.stdout) == (3, "")
    for place in (
        f"{files[0]}:4: seed: ",
        f"{files[0]}:5: sede: ",
        f"{files[2]}:2: name: ",
        f"{files[2]}:1: data.train: ",
    ):
        assert place in found.stderr
    assert f"{files[1]}: ok\n" in found.stderr
    assert f"{files[0]}: ok" not in found.stderr


def test_validate_refuses_an_address_as_a_path_and_says_what_to_do(write: Write) -> None:
    found = run("validate", write(MINIMAL.replace("images", "ftp://host/images")), "--json")
    assert found.exit_code == 3
    assert "remote images are read from s3, gs, hf, https; copy the files here, or mount them" in found.output


def test_validate_refuses_an_address_with_a_secret_without_repeating_it(write: Write) -> None:
    found = run("validate", write(MINIMAL.replace("images", "https://ann:5ec4e7@host/list.csv")), "--json")
    assert found.exit_code == 3
    assert "with a user or a password" in found.output
    assert "5ec4e7" not in found.output


def test_validate_prints_exactly_one_json_object(write: Write) -> None:
    good = run("validate", write(MINIMAL), "--json")
    assert json.loads(good.stdout)["configs"][0]["ok"] is True
    bad = run("validate", write(MINIMAL + "seed: -1\n"), "--json")
    error = json.loads(bad.stdout)["error"]
    assert (bad.exit_code, error["code"], error["kind"]) == (3, 3, "config")
    assert "config.yaml:4: seed" in error["message"]
    assert error["hint"]


def test_show_prints_the_resolved_config_as_yaml_that_loads(write: Write) -> None:
    found = run("show", write(MINIMAL), "--set", "training.epochs=3", "--set", "model.weights=none")
    config = load(write(found.stdout, "again.yaml")).config
    assert (found.exit_code, config.training.epochs, config.transfer.strategy) == (0, 3, "feature_extraction")
    assert config.data.image_size == 32


def test_show_says_which_fractions_are_not_used(write: Write, tmp_path: Path) -> None:
    write(b"", "images/train/cat/1.png")
    write(b"", "images/test/cat/2.png")
    found = run("show", write(MINIMAL))
    assert found.stderr.startswith("data.test: the fraction is not used, images has its own test images\n")
    assert yaml.safe_load(found.stdout)["data"]["test"] == 0.15
    write("path,label,split\n1.png,cat,validation\n", "list.csv")
    table = run("show", write(MINIMAL), "--set", "data.train=list.csv")
    assert "data.validation: the fraction is not used, list.csv has its own validation images\n" in table.stderr
    for quiet in (["data.test=null"], ["data.test=other"], ["data.train=nowhere"], ["data.train=images/train"]):
        assert run("show", write(MINIMAL), "--set", *quiet).stderr.startswith("\nnext: ")


def test_show_for_pretrain_trains_from_scratch(write: Write) -> None:
    found = json.loads(run("show", write(MINIMAL), "--for", "pretrain", "--json").stdout)
    assert (found["transfer"]["strategy"], found["model"]["weights"]) == ("scratch", "none")


def test_show_as_yaml_and_as_json_is_the_same_but_for_the_format(write: Write) -> None:
    path = write(FULL)
    assert {"format": 1} | yaml.safe_load(run("show", path).stdout) == json.loads(run("show", path, "--json").stdout)


def test_the_json_of_show_is_a_config_again(write: Write) -> None:
    words = ("show", write(FULL), "--for", "pretrain")
    shown = run(*words, "--json").stdout
    assert load(write(shown, "again.json")).config == load(write(run(*words).stdout, "again.yaml")).config
    assert load(write("format: 1\nextends: again.json\nseed: 5\n", "heir.yaml")).config.seed == 5


@pytest.mark.parametrize("value", ["2", "'1'", "true", "1.0", "{a: 1}", "[1]", "null"])
def test_another_format_is_an_error_with_its_line(write: Write, value: str) -> None:
    path = write(f"{MINIMAL}format: {value}\n")
    found = run("validate", path)
    assert found.exit_code == 3
    assert f"{path}:4: format: must be 1, the format of these files, received " in found.stderr
    assert "not a known key" not in found.stderr


def test_show_names_a_wrong_set(write: Write) -> None:
    found = run("show", write(MINIMAL), "--set", "training.epoch=3")
    assert found.exit_code == 3
    assert "--set training.epoch=3: training.epoch: is not a known key" in found.stderr


def test_schema_prints_the_json_schema() -> None:
    for arguments in ([], ["--json"]):
        found = run("schema", *arguments)
        assert found.exit_code == 0
        assert json.loads(found.stdout)["$schema"].endswith("2020-12/schema")


def test_init_prints_a_config_or_writes_it_and_never_over_another(tmp_path: Path) -> None:
    printed = run("init", "--base", "vgg16")
    assert (printed.exit_code, yaml.safe_load(printed.stdout)["model"]["base"]) == (0, "vgg16")
    path = tmp_path / "deep" / "mine.yaml"
    assert run("init", "-o", path).stdout == f"wrote {path}\n\nnext: transfercli finetune {path} --dry-run\n"
    assert load(path).config.model.base == "resnet50"
    again = run("init", "-o", path, "--json")
    assert (again.exit_code, json.loads(again.stdout)["error"]["kind"]) == (2, "usage")


def test_init_with_json_is_one_object() -> None:
    found = json.loads(run("init", "--json").stdout)
    assert found["path"] is None
    assert yaml.safe_load(found["config"])["name"]


def test_init_with_images_that_are_not_there_is_a_data_error(tmp_path: Path) -> None:
    assert run("init", "--data", tmp_path / "nowhere").exit_code == 4


@pytest.mark.parametrize("arguments", [["show", "x.yaml", "--for", "evaluate"], ["validate"], ["schema", "x"]])
def test_wrong_arguments_are_usage_errors(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


HEAVY = ("keras", "tensorflow", "sklearn", "matplotlib", "scipy", "jax", "torch")
PROBE = """
import sys
from transfercli.cli.app import main
sys.argv = ["transfercli", *sys.argv[1:]]
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


def modules_after(*arguments: object) -> set[str]:
    command = [sys.executable, "-c", PROBE, *map(str, arguments)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    return set(found.stderr.splitlines()[-1].split())


def test_no_config_command_loads_a_framework(write: Write) -> None:
    path = write(FULL)
    for arguments in (["validate", path], ["show", path, "--json"], ["schema"], ["init"]):
        assert not modules_after("config", *arguments).intersection(HEAVY)


def test_help_loads_no_schema() -> None:
    assert not modules_after("config", "--help").intersection({*HEAVY, "transfercli.config.schema", "yaml", "numpy"})


def test_validate_takes_overrides_and_warns_of_what_is_not_there(write: Write, tmp_path: Path) -> None:
    path = write(MINIMAL)
    found = run("validate", path, "--set", "training.epochs=0")
    assert found.exit_code == 3
    assert "training.epochs: is out of range, received 0" in found.stderr
    found = run("validate", path, "--json", "--runs", tmp_path / "runs", "--set", "model.weights={run: nobody}")
    assert found.exit_code == 0
    assert json.loads(found.stdout)["configs"][0]["missing"] == ["data.train", "model.weights.run"]
    assert f"warning: {path}:2: data.train: images is not there" in found.stderr
    assert "model.weights.run: the run nobody is not there" in found.stderr
    (tmp_path / "images").mkdir()
    assert run("validate", path).stderr == ""


@pytest.mark.parametrize("text", ["training.epochs", "=3", "a..b=3", "training.epochs:5"])
def test_what_is_no_override_at_all_is_a_usage_error(write: Write, text: str) -> None:
    found = run("show", write(MINIMAL), "--set", text)
    assert found.exit_code == 2
    assert "must look like KEY=VALUE" in found.output.replace("\n", " ")
