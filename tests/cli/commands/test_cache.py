"""`transfercli cache …` as its users start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

CONFIG = "name: t\ndata: {train: data, image_size: 32}\nmodel: {base: small_cnn, weights: none}\n"


def transfercli(*arguments: object, folder: Path, check: int = 0) -> str:
    command = [sys.executable, "-m", "transfercli", *map(str, arguments)]
    environment = os.environ | {"TRANSFERCLI_CACHE": str(folder / "cache")}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment
    )
    assert done.returncode == check, done.stderr
    return done.stdout


def test_show_and_clear_tell_what_there_is_and_what_went(tmp_path: Path) -> None:
    empty = json.loads(transfercli("cache", "show", "--json", folder=tmp_path))
    assert (empty["folder"], empty["bytes"], empty["entries"]) == (str(tmp_path / "cache"), 0, 0)
    assert empty["limit"] == 50 * 10**9
    transfercli("sample", "digits-target", "data", folder=tmp_path)
    (tmp_path / "t.yaml").write_text(CONFIG)
    transfercli("data", "check", "t.yaml", folder=tmp_path)
    full = json.loads(transfercli("cache", "show", "--json", folder=tmp_path))
    assert full["entries"] == full["caches"]["images"]["entries"] == 896
    assert full["bytes"] == 896 * 32 * 32 * 3
    assert "896" in transfercli("cache", "show", folder=tmp_path)
    cleared = json.loads(transfercli("cache", "clear", "--json", folder=tmp_path))
    assert (cleared["entries"], cleared["in_use"]) == (0, 0)
    assert cleared["freed"] >= full["bytes"]  # and what the index no longer has to remember


def test_another_folder_can_be_named(tmp_path: Path) -> None:
    found = json.loads(transfercli("cache", "show", "--dir", "elsewhere", "--json", folder=tmp_path))
    assert found["folder"] == str(tmp_path / "elsewhere")
    (tmp_path / "file").write_text("")
    transfercli("cache", "clear", "--dir", "file/below", "--json", folder=tmp_path)
