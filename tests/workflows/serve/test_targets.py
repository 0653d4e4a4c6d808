"""Targets of `serve`: names, exports, links that are followed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.workflows.serve.conftest import FIRST, SECOND
from transfercli.errors import ArtefactError, UsageError
from transfercli.io import atomic
from transfercli.reporting import Reporter
from transfercli.workflows.predict.predictors import find_model
from transfercli.workflows.serve.targets import parse_targets


def test_a_single_target_takes_the_name_of_its_experiment(champion: Path) -> None:
    artefact = champion / "digits" / FIRST / "exports" / "onnx"
    texts = ["digits", "digits@champion", f"digits/{SECOND}", str(champion / "digits" / FIRST), str(artefact)]
    for text in texts:
        (target,) = parse_targets([text], champion)
        assert target.name == "digits", text


@pytest.mark.parametrize(
    "text, version", [("digits@champion", FIRST), (f"digits/{SECOND}", SECOND), (f"digits/{FIRST}", FIRST)]
)
def test_a_version_is_the_id_of_the_run(champion: Path, text: str, version: str) -> None:
    (run,) = parse_targets([f"a={text}"], champion)
    (export,) = parse_targets([f"a={text}"], champion, "onnx")
    assert (run.name, run.source().version, export.source().version) == ("a", version, version)
    assert export.source().location == run.source().location / "exports" / "onnx"


def test_a_folder_of_versions_is_an_error_that_names_the_newest_one(champion: Path, tmp_path: Path) -> None:
    for number in ("2", "10", "lost+found"):
        (tmp_path / "vers" / number).mkdir(parents=True)
        (tmp_path / "vers" / number / "export.json").write_text("{}")
    (tmp_path / "vers" / "11").mkdir()
    for text in (str(tmp_path / "vers"), f"a={tmp_path / 'vers'}"):
        with pytest.raises(ArtefactError, match="no run") as error:
            parse_targets([text], champion)[0].source()
        assert str(error.value.hint).endswith(f"such as {tmp_path / 'vers' / '10'}, the newest")
    with pytest.raises(ArtefactError) as error:
        find_model(str(tmp_path / "vers"), champion, Reporter())
    assert str(error.value.hint).endswith(f"such as {tmp_path / 'vers' / '10'}, the newest")


@pytest.mark.parametrize(
    "texts, message",
    [
        ([], "received none"),
        (["a=digits", "a=digits@champion"], "received a twice"),
        (["digits", "b=digits"], "each needs a name; received 'digits'"),
        (["a/b=digits"], "received 'a/b'"),
        (["..=digits"], "received '..'"),
        (["=digits"], "received ''"),
        (["a="], "names no model"),
    ],
)
def test_a_name_is_checked_as_that_of_an_experiment(champion: Path, texts: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_targets(texts, champion)


def test_a_run_without_the_export_is_an_error_with_the_command_that_makes_it(champion: Path) -> None:
    (target,) = parse_targets(["a=digits@champion"], champion, "litert")
    with pytest.raises(ArtefactError, match=f"digits/{FIRST} has no export in the format litert") as error:
        target.source()
    assert error.value.hint == f"transfercli export digits/{FIRST} --runs {champion} --format litert"


def test_an_artefact_has_a_format_already(champion: Path) -> None:
    artefact = champion / "digits" / FIRST / "exports" / "onnx"
    with pytest.raises(UsageError, match="is an artefact, which has a format"):
        parse_targets([f"a={artefact}"], champion, "onnx")


@pytest.mark.parametrize("export", [None, "onnx"])
def test_a_look_at_a_link_changes_with_its_run_and_with_a_new_export(runs: Path, export: str | None) -> None:
    (target,) = parse_targets(["digits@champion"], runs, export)
    looks = [target.glance()]
    atomic.replace_symlink(runs / "digits" / "champion", SECOND)
    looks.append(target.glance())
    atomic.write_text(runs / "digits" / SECOND / "exports" / "onnx" / "export.json", "{}")
    looks.append(target.glance())
    assert target.glance() == looks[2]
    assert len(set(looks)) == (2 if export is None else 3)


def test_only_links_are_followed(champion: Path) -> None:
    texts = ["a=digits", "b=digits@champion", "c=digits@latest", f"d=digits/{FIRST}"]
    assert [target.is_followed for target in parse_targets(texts, champion)] == [False, True, True, False]
