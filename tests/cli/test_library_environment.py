"""Settings of libraries: the machine's home folder and Python's settings do not decide how a command works."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from transfercli.cli.environment import can_be_written

PLAIN = {
    name: value
    for name, value in os.environ.items()
    if name in ("PATH", "PYTHONPATH", "TF_CPP_MIN_LOG_LEVEL", "LD_LIBRARY_PATH")
}
NOTHING = "/dev/null/nothing"
# A process of a user without an entry in the password file; only root can become one, so the lookup is replaced.
NO_ENTRY = """
import pwd

def no_entry(number):
    raise KeyError(number)

pwd.getpwuid = no_entry
from transfercli.cli.app import main
main()
"""


def run(*words: str, environment: Mapping[str, str], cwd: Path, code: str = "") -> subprocess.CompletedProcess[str]:
    program = ["-c", code] if code else ["-m", "transfercli"]
    return subprocess.run(
        [sys.executable, *program, *words], env={**PLAIN, **environment}, cwd=cwd, capture_output=True, text=True
    )


@pytest.mark.parametrize("home", [{}, {"HOME": ""}, {"HOME": "relative"}], ids=str)
def test_without_a_home_folder_a_private_temporary_one_is_used_with_one_warning(
    tmp_path: Path, home: dict[str, str]
) -> None:
    done = run("cache", "show", "--json", environment={**home, "TMPDIR": str(tmp_path)}, cwd=tmp_path, code=NO_ENTRY)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / f"transfercli-{os.getuid()}"
    assert Path(json.loads(done.stdout)["folder"]).is_relative_to(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (warning,) = done.stderr.splitlines()
    assert str(folder) in warning
    assert "TRANSFERCLI_CACHE" in warning
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name]


def test_with_a_cache_folder_of_its_own_nothing_is_warned_of(tmp_path: Path) -> None:
    environment = {"TMPDIR": str(tmp_path), "TRANSFERCLI_CACHE": str(tmp_path / "own")}
    done = run("cache", "show", "--json", environment=environment, cwd=tmp_path, code=NO_ENTRY)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["folder"] == str(tmp_path / "own")


def test_a_home_folder_that_cannot_be_written_to_is_replaced_for_caches(tmp_path: Path) -> None:
    done = run("cache", "show", "--json", environment={"HOME": NOTHING, "TMPDIR": str(tmp_path)}, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["folder"]).is_relative_to(tmp_path)
    assert NOTHING in done.stderr


def test_a_home_folder_that_is_closed_to_the_user_cannot_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.exists

    def exists(path: Path) -> bool:
        if path.parent == tmp_path:
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "exists", exists)
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)
    assert not can_be_written(tmp_path / ".cache" / "transfercli")


def test_a_folder_that_another_user_made_under_that_name_is_not_used(tmp_path: Path) -> None:
    open_to_all = tmp_path / f"transfercli-{os.getuid()}"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    done = run("cache", "show", "--json", environment={"HOME": NOTHING, "TMPDIR": str(tmp_path)}, cwd=tmp_path)
    folder = Path(json.loads(done.stdout)["folder"])
    assert folder.is_relative_to(tmp_path)
    assert not folder.is_relative_to(open_to_all)


HOSTILE = {
    "no UTF-8": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "warnings are errors": {"PYTHONWARNINGS": "error"},
    "optimised": {"PYTHONOPTIMIZE": "2", "PYTHONDONTWRITEBYTECODE": "1"},
}
MARKS = {"no UTF-8": []}


@pytest.mark.parametrize(
    "environment",
    [pytest.param(value, id=name, marks=MARKS.get(name, pytest.mark.slow)) for name, value in HOSTILE.items()],
)
def test_settings_of_python_do_not_change_a_command(tmp_path: Path, environment: dict[str, str]) -> None:
    environment = {**environment, "HOME": str(tmp_path)}
    made = run("sample", "digits-target", "images", environment=environment, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    (tmp_path / "images" / "train" / "5").rename(tmp_path / "images" / "train" / "fünf")
    (tmp_path / "images" / "test" / "5").rename(tmp_path / "images" / "test" / "fünf")
    config = "name: e\ndata: {train: images/train, test: images/test}\nmodel: {base: small_cnn, weights: none}\n"
    (tmp_path / "c.yaml").write_text(config)
    done = run("data", "check", "c.yaml", "--json", environment=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "fünf" in json.loads(done.stdout)["classes"]
