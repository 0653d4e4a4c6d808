"""The systemd unit of docs/guides/serving, as systemd's own tools read it."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tests.workflows.serve.clients.running import RECIPES, ROOT, run_client

UNIT = RECIPES / "transfercli-serve.service"
MOST_EXPOSURE = 2.0

systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def value_of(key: str) -> str:
    """The value of a key; a line that ends in a backslash goes on in the next."""
    text = re.sub(r"\\\n\s*", "", UNIT.read_text())
    (value,) = re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)
    return str(value)


@systemd
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path) -> None:
    program = tmp_path / "transfercli"
    program.touch(mode=0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/transfercli/bin/transfercli", str(program)))
    done = run_client("systemd-analyze", "verify", str(unit))
    assert (done.returncode, done.stderr) == (0, "")


@systemd
def test_the_unit_leaves_a_hostile_image_little_to_attack() -> None:
    done = run_client("systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT))
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert exposure is not None, done.stderr
    assert float(exposure[1]) < MOST_EXPOSURE


def test_the_unit_calls_the_program_as_it_is() -> None:
    """All options are known, and the exit code of a stop is a success."""
    command = shlex.split(value_of("ExecStart"))
    assert command[:2] == ["/opt/transfercli/bin/transfercli", "serve"]
    known = run_client(sys.executable, "-m", "transfercli", "serve", "--help", environment={"PYTHONPATH": str(ROOT)})
    assert [word for word in command if word.startswith("--") and word not in known.stdout] == []
    assert value_of("SuccessExitStatus") == "143"
    assert int(value_of("TimeoutStopSec")) > 12  # seconds after which the server ends by force
