"""Run the program and see what it opened, started and connected to, and how much memory it took.

strace sees every system call of every process. Where it is missing, Python's audit events (PEP 578) are recorded in
every Python process instead; what a C library opens by itself is then not seen.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import transfercli

PACKAGE = Path(transfercli.__file__).parents[1]
CALLS = "execve,execveat,open,openat,openat2,creat,connect,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat"
STRACE = ["strace", "-f", "-qq", "-y", "-s", "4096", "-e", f"trace={CALLS}", "-e", "signal=none"]
LINE = re.compile(r"^\d+ +(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+|\?)")
TEXT = re.compile(r'(?:AT_FDCWD<(?P<folder>[^>]*)>, |\d+<(?P<other>[^>]*)>, )?"(?P<path>(?:[^"\\]|\\.)*)"')
MOST_RESIDENT = 400 * 2**20
CHILDREN = (
    "transfercli.models.weights.h5_reader",
    "transfercli.data.decoding.worker",
    "uname",
)  # the program's own, and Python's
SYSTEM = (
    *("/usr", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev/null", "/dev/urandom", "/dev/tty"),
    *(sys.prefix, sys.base_prefix, os.fspath(PACKAGE / "transfercli")),
)
# The kernel counts what a process had before it became another program: so the program's parent must be a small one.
LAUNCHER = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code if code >= 0 else 128 - code)
"""
AUDIT = """
import json, os, sys
_log = os.open(os.environ["OBSERVED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
_calls = {"open", "os.remove", "os.rename", "os.mkdir", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.system",
          "socket.connect"}
def _note(event, arguments):
    if event in _calls:
        def text(value):
            return os.fsdecode(value) if isinstance(value, (bytes, str, os.PathLike)) else repr(value)
        words = [text(one) for one in (arguments[1] if event == "subprocess.Popen" else arguments)]
        os.write(_log, (json.dumps([event, os.getcwd(), words]) + "\\n").encode("utf-8", "backslashreplace"))
os.write(_log, (json.dumps(["started", os.getcwd(), sys.orig_argv]) + "\\n").encode("utf-8", "backslashreplace"))
sys.addaudithook(_note)
"""


@dataclass
class Seen:
    """touched: real paths that were opened, made, renamed or removed; executed: command lines; peak: bytes resident."""

    code: int = 0
    stdout: str = ""
    stderr: str = ""
    peak: int = 0
    touched: set[str] = field(default_factory=set)
    executed: list[str] = field(default_factory=list)
    connected: list[str] = field(default_factory=list)


@cache
def has_strace() -> bool:
    """Whether strace is here and may trace."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-qq", "true"], capture_output=True, check=False).returncode == 0


def observe(arguments: Sequence[str], folder: Path, scratch: Path, *, strace: bool | None = None) -> Seen:
    """`transfercli arguments…` in `folder`; `scratch` gets the record and the program's temporary files.

    strace: whether to look with it; None where it is there.
    """
    strace = has_strace() if strace is None else strace
    record = scratch / "observed"
    hook = scratch / "hook"
    hook.mkdir(parents=True, exist_ok=True)
    (hook / "sitecustomize.py").write_text("" if strace else AUDIT)
    temporary = scratch / "tmp"
    temporary.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(hook), str(PACKAGE))),
        "OBSERVED": str(record),
        "TMPDIR": str(temporary),
    }
    command = [sys.executable, "-P", "-m", "transfercli", *arguments]
    if strace:
        command = [*STRACE, "-o", str(record), *command]
    seen = Seen()
    with (scratch / "stdout").open("w+b") as stdout, (scratch / "stderr").open("w+b") as stderr:
        launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(scratch / "peak"), *command]
        seen.code = subprocess.call(
            launch, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
    seen.peak = int((scratch / "peak").read_text()) * (1 if sys.platform == "darwin" else 1024)
    seen.stdout = (scratch / "stdout").read_text("utf-8", "replace")
    seen.stderr = (scratch / "stderr").read_text("utf-8", "replace")
    if record.exists():
        (_read_strace if strace else _read_audit)(record, folder, seen)
    return seen


def _read_strace(record: Path, folder: Path, seen: Seen) -> None:
    for line in record.read_text("utf-8", "replace").splitlines():
        found = LINE.match(line)
        if not found or found["result"].startswith("-"):  # what was not there was not opened
            continue
        if found["call"].startswith("execve"):
            seen.executed.append(found["arguments"])
        elif found["call"] == "connect":
            seen.connected.append(found["arguments"])
        else:
            for text in TEXT.finditer(found["arguments"]):
                path = text["path"].encode().decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")
                seen.touched.add(os.path.realpath(Path(text["folder"] or text["other"] or folder, path)))


def _read_audit(record: Path, folder: Path, seen: Seen) -> None:
    for line in record.read_text("utf-8", "replace").splitlines():
        event, current, words = json.loads(line)
        if event == "started":
            seen.executed.append(json.dumps(words))
        elif event == "socket.connect":
            seen.connected.append(str(words))
        elif event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
            seen.executed.append(json.dumps(words))
        else:
            paths = words[:2] if event == "os.rename" else words[:1]
            seen.touched |= {os.path.realpath(Path(current, path)) for path in paths if not path.isdigit()}


def check_harmless(seen: Seen, work: Path, scratch: Path) -> None:
    """Nothing ran but the program's own children, nothing was reached outside `work`, and memory stayed bounded."""
    assert "Traceback" not in seen.stderr, seen.stderr
    assert "bug:" not in seen.stderr, seen.stderr
    assert "\x1b" not in seen.stderr + seen.stdout
    assert not seen.connected, seen.connected
    foreign = [line for line in seen.executed[1:] if not any(child in line for child in CHILDREN)]
    assert not foreign, foreign
    own = [os.path.realpath(place) for place in (*SYSTEM, work, scratch, os.environ["TRANSFERCLI_CACHE"])]
    above = {os.fspath(parent) for place in own for parent in Path(place).parents}  # looked through for modules
    strange = [
        path for path in seen.touched - above if not any(path == one or path.startswith(one + "/") for one in own)
    ]
    assert not strange, strange
    assert seen.peak < MOST_RESIDENT, f"{seen.peak / 2**20:.0f} MiB"
