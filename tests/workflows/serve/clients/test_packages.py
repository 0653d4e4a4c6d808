"""The packages that a server of an ONNX artefact takes, as docker/serve.Dockerfile installs them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.workflows.serve.clients.conftest import Exported
from tests.workflows.serve.clients.running import ROOT, run_client, serving

HEAVY = {"tensorflow", "keras", "jax", "torch", "sklearn", "scipy", "matplotlib", "h5py"}
# Python imports this module at the start of each process; it notes what the process imports.
RECORDER = """
import os, sys
_file = open(os.path.join({folder!r}, str(os.getpid())), "w", buffering=1)
_seen = set()
def _note(event, arguments):
    if event == "import" and (name := arguments[0].partition(".")[0]) not in _seen:
        _seen.add(name)
        _file.write(name + "\\n")
sys.addaudithook(_note)
"""


@pytest.fixture(scope="module")
def imported(exported_digits: Exported, tmp_path_factory: pytest.TempPathFactory) -> list[set[str]]:
    """Names of the modules that each process of a server tried to import until it had answered."""
    hook, notes = tmp_path_factory.mktemp("hook"), tmp_path_factory.mktemp("notes")
    (hook / "sitecustomize.py").write_text(RECORDER.format(folder=str(notes)))
    with serving(f"digits={exported_digits.artefact}", "--port", "0", environment={"PYTHONPATH": str(hook)}) as server:
        client = ("curl", "--silent", "--data-binary", f"@{exported_digits.files[0]}")
        answer = run_client(*client, f"{server.address}/predict/digits")
        assert '"label"' in answer.stdout
        metrics = run_client("curl", "--silent", f"{server.address}/metrics")
        assert "transfercli_requests_total" in metrics.stdout
    return [set(file.read_text().split()) for file in notes.iterdir()]


def test_no_process_of_a_server_of_an_onnx_artefact_imports_a_framework(imported: list[set[str]]) -> None:
    assert any("onnxruntime" in names for names in imported)
    assert any("uvicorn" in names for names in imported)
    assert len(imported) >= 3  # the server, the model, a decoder
    assert set().union(*imported) & HEAVY == set()


def test_the_decoders_and_the_server_do_without_the_runtime(imported: list[set[str]]) -> None:
    assert sum("onnxruntime" in names for names in imported) == 1
    assert not any({"uvicorn", "PIL"} <= names for names in imported)


def locked(processor: str) -> str:
    """The lock that the image installs, as its RUN line makes it."""
    lines = (ROOT / "docker" / "serve.Dockerfile").read_text().replace("\\\n", " ")
    (script,) = re.findall(r"awk '([^']*)'", lines)
    files = (ROOT / "docker" / "serve-packages.txt", ROOT / "docker" / f"requirements-{processor}.lock")
    return subprocess.run(["awk", script, *map(str, files)], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("processor", ["amd64", "arm64"])
def test_the_image_installs_each_package_locked_and_with_its_hashes(processor: str) -> None:
    wanted = (ROOT / "docker" / "serve-packages.txt").read_text().split()
    found = re.findall(r"^([\w.-]+)==\S+[^\n]*\\\n +--hash=sha256:[0-9a-f]{64}", locked(processor), re.MULTILINE)
    assert sorted(found) == sorted(wanted)
    assert not HEAVY & set(found)


def test_the_image_has_every_package_that_a_server_imports(imported: list[set[str]]) -> None:
    wanted = set((ROOT / "docker" / "serve-packages.txt").read_text().split())
    owners = packages_distributions()
    packages = {
        re.sub(r"[-_.]+", "-", owner).lower() for name in set().union(*imported) for owner in owners.get(name, ())
    }
    # These two are optional: typer and the decoder do without.
    assert packages - wanted - {"rich", "pillow-heif"} == {"transfercli"} & packages


# Starts a program on a disk where nothing can be written, and without the rights of root.
READ_ONLY = ("unshare", "--mount", "sh", "-c", 'mount -o remount,bind,ro / && exec "$@"', "sh")
WITHOUT_RIGHTS = ("setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")


def test_a_server_runs_on_a_read_only_disk_without_the_rights_of_root(exported_digits: Exported) -> None:
    """As in the image with --read-only and --cap-drop ALL."""
    written = (*READ_ONLY, "touch", str(exported_digits.artefact / "written"))
    if shutil.which("unshare") is None or "Read-only" not in run_client(*written).stderr:
        pytest.skip("this machine allows no mount of its own")
    nowhere = {"HOME": "/nonexistent", "TMPDIR": "/nonexistent", "TRANSFERCLI_CACHE": "/nonexistent"}
    arguments = (f"digits={exported_digits.artefact}", "--port", "0")
    with serving(*arguments, environment=nowhere, prefix=(*READ_ONLY, *WITHOUT_RIGHTS)) as server:
        client = ("curl", "--silent", "--data-binary", f"@{exported_digits.files[0]}")
        done = run_client(*client, f"{server.address}/predict/digits")
    assert f'"label":"{exported_digits.answers[0][0]}"' in done.stdout


def test_the_dockerfile_copies_what_exists_and_ends_without_the_rights_of_root() -> None:
    lines = (ROOT / "docker" / "serve.Dockerfile").read_text().splitlines()
    copied = [
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    assert [name for name in copied if not (ROOT / name.replace("${TARGETARCH}", "amd64")).exists()] == []
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {Path(name).parts[0] for name in copied} <= kept
    assert [line for line in lines if line.startswith("USER ")] == ["USER 1000:1000"]
    assert sum(line.startswith("HEALTHCHECK ") for line in lines) == 1


def test_the_health_check_of_the_image_follows_the_server(exported_digits: Exported) -> None:
    (code,) = re.findall(r'"-c", "([^"]+)"', (ROOT / "docker" / "serve.Dockerfile").read_text())
    with serving(f"digits={exported_digits.artefact}", "--port", "0") as server:
        check = (sys.executable, "-c", code.replace("127.0.0.1:8500", server.host))
        assert run_client(*check).returncode == 0
    assert run_client(*check).returncode == 1
