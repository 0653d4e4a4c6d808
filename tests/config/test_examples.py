"""The shipped examples: listed, and written as a config that loads wherever it stands."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from transfercli.cli.commands.config import app
from transfercli.config.editor import SCHEMA_FILE
from transfercli.config.examples import example, example_names
from transfercli.config.loader import load
from transfercli.errors import UsageError

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_every_config_of_the_repository_is_an_example() -> None:
    files = sorted(path.relative_to(CONFIGS).with_suffix("").as_posix() for path in CONFIGS.rglob("*.yaml"))
    assert list(example_names()) == files


def test_the_list_shows_the_name_and_what_each_does() -> None:
    answer = run("init", "--list-examples")
    assert answer.exit_code == 0
    described = answer.stdout.split("\nquickstart/finetune\n")[1].split("\nquickstart/pretrain\n")[0]
    assert "classifies the digits 5-9" in " ".join(described.split())
    assert max(map(len, answer.stdout.splitlines())) <= 80
    assert all(name in answer.stdout for name in example_names())


def test_the_list_as_json_has_name_command_and_description() -> None:
    listed = json.loads(run("init", "--list-examples", "--json").stdout)["examples"]
    assert [entry["name"] for entry in listed] == list(example_names())
    (grey,) = [entry for entry in listed if entry["name"] == "grey28/target"]
    assert grey["command"] == "finetune"
    assert grey["description"].startswith("carries the 28x28x1 network over")
    assert grey["description"].endswith("then its last stage as well.")
    assert {entry["command"] for entry in listed} == {"finetune", "pretrain"}


@pytest.mark.parametrize("name", example_names())
@pytest.mark.parametrize("file", ["mine.yaml", "deep/er/mine.yaml", "a: b #c/mine.yaml"])
def test_an_example_has_the_values_of_the_shipped_config_wherever_it_is_written(
    name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = run("init", "--example", name, "-o", file)
    assert answer.exit_code == 0, answer.stderr
    first, *_, last = answer.stdout.splitlines()
    assert first == f"wrote {file}"
    assert shlex.split(last) == ["next:", "transfercli", example(name).command, file, "--dry-run"]
    written, shipped = load(Path(file)).config, load(CONFIGS / f"{name}.yaml").config
    paths = {key: getattr(shipped.data, key) for key in ("train", "test", "unlabelled")}
    paths = {key: path for key, path in paths.items() if isinstance(path, str)}
    for key, path in paths.items():
        if not path.startswith("keras:"):
            assert (Path(file).parent / getattr(written.data, key)).resolve() == tmp_path / path.removeprefix("../../")
    same = written.data.model_copy(update=paths)
    assert written.model_copy(update={"data": same}) == shipped


def test_an_example_names_its_own_file_in_the_launch_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("init", "--example", "quickstart/finetune", "-o", "my digits.yaml")
    text = Path("my digits.yaml").read_text()
    assert "transfercli finetune 'my digits.yaml' " in text
    assert "configs/quickstart" not in text
    assert "train: data/digits-target\n" in text
    assert "# where a stroke lies matters in a digit" in text


def test_an_example_that_extends_another_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = json.loads(run("init", "--example", "quickstart/scratch", "--json").stdout)["config"]
    assert "extends" not in text
    assert text.startswith("# Launch:  transfercli finetune THIS_FILE ")
    assert "name: digits-scratch\n" in text


def test_an_example_without_a_file_goes_to_stdout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = run("init", "--example", "quickstart/pretrain.yaml")
    assert answer.stdout == example("quickstart/pretrain").text_for(None)
    assert "yaml-language-server" not in answer.stdout
    assert not list(tmp_path.iterdir())


def test_an_unknown_example_is_a_usage_error_with_the_nearest_name() -> None:
    with pytest.raises(UsageError) as caught:
        example("quickstart/fintune")
    assert caught.value.message == "--example 'quickstart/fintune' is not a shipped example"
    assert (caught.value.hint or "").startswith("did you mean quickstart/finetune? allowed: cats-vs-dogs/vgg16, ")
    assert run("init", "--example", "../pyproject").exit_code == 2


@pytest.mark.parametrize(
    "words", [["--example", "quickstart/finetune", "--base", "vgg16"], ["--list-examples", "--data", "x"]]
)
def test_an_example_is_not_mixed_with_a_starter(words: list[str]) -> None:
    answer = run("init", *words)
    assert answer.exit_code == 2
    assert "cannot be combined with --base and --data" in answer.stderr


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    kept = tmp_path / "kept.yaml"
    kept.write_text("mine")
    assert run("init", "--example", "quickstart/finetune", "-o", kept).exit_code == 2
    assert kept.read_text() == "mine"


# -- what an editor needs


def test_the_committed_schema_is_current() -> None:
    written = (CONFIGS / SCHEMA_FILE).read_text(encoding="utf-8")
    assert written == run("schema").stdout, "run `make docs`"


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_config_begins_with_the_path_of_its_schema(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (path.parent / first.partition("=")[2]).resolve() == CONFIGS / SCHEMA_FILE


def test_the_schema_is_written_for_an_editor_and_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = run("schema", "-o", "transfercli.schema.json")
    assert answer.exit_code == 0
    assert answer.stdout.startswith("wrote transfercli.schema.json\n")
    schema = json.loads(Path("transfercli.schema.json").read_text())
    assert schema["$id"] == "urn:transfercli:config:1"
    Path("transfercli.schema.json").write_text(json.dumps({"$id": "urn:transfercli:config:0"}))
    assert json.loads(run("schema", "-o", "transfercli.schema.json", "--json").stdout) == {
        "format": 1,
        "path": "transfercli.schema.json",
    }
    assert json.loads(Path("transfercli.schema.json").read_text()) == schema


def test_a_file_that_is_not_a_schema_of_ours_is_left_as_it_is(tmp_path: Path) -> None:
    for text in ("mine", '{"$id": "urn:other"}', "[]"):
        (tmp_path / "x.json").write_text(text)
        assert run("schema", "-o", tmp_path / "x.json").exit_code == 2
        assert (tmp_path / "x.json").read_text() == text


@pytest.mark.parametrize("words", [[], ["--example", "quickstart/scratch"]])
@pytest.mark.parametrize("file, line", [("a.yaml", SCHEMA_FILE), ("b/c/a.yaml", f"../../{SCHEMA_FILE}")])
def test_a_config_names_the_schema_if_one_lies_beside_or_above_it(
    words: list[str], file: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("init", *words, "-o", "before.yaml")
    assert "yaml-language-server" not in Path("before.yaml").read_text()
    run("schema", "-o", SCHEMA_FILE)
    run("init", *words, "-o", file)
    assert Path(file).read_text().splitlines()[0] == f"# yaml-language-server: $schema={line}"
    load(Path(file))
