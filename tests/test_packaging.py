"""The built distribution: what is in the wheel, and that it works without the checkout."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import transfercli

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(path.relative_to(ROOT / "configs").as_posix() for path in (ROOT / "configs").rglob("*.yaml"))


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "transfercli" / "py.typed").is_file()
    assert "Typing :: Typed" in project()["classifiers"]


def test_the_citation_is_of_this_version_and_names_the_authors_of_the_project() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == transfercli.__version__
    assert (citation["title"], citation["license"]) == (project()["name"], project()["license"])
    assert citation["authors"] == project()["authors"]


def pins(path: Path) -> dict[str, str]:
    """Name and version of every package that a lock pins."""
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", path.read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("processor, build", [("amd64", "tensorflow-cpu"), ("arm64", "tensorflow")])
def test_the_image_installs_the_locked_versions_without_the_tools(processor: str, build: str) -> None:
    lock, image = pins(ROOT / "requirements.lock"), pins(ROOT / "docker" / f"requirements-{processor}.lock")
    assert {name: version for name, version in image.items() if lock.get(name.removesuffix("-cpu")) != version} == {}
    assert [name for name in image if name.startswith("tensorflow")] == [build]
    assert {"keras", "onnxruntime", "openvino", "ai-edge-litert", "typer"} <= image.keys()
    assert not {"pytest", "ruff", "mypy"} & image.keys()


def test_the_image_copies_what_exists_and_ends_without_the_rights_of_root() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    missing = [name for name in copied if not (ROOT / name.replace("${TARGETARCH}", "amd64")).exists()]
    assert (missing, "transfercli" in copied) == ([], True)
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {Path(name).parts[0] for name in copied} == kept
    assert [line for line in lines if line.startswith("USER ")] == ["USER 1000:1000"]


@pytest.mark.parametrize("name", ["ci", "release"])
def test_a_workflow_may_only_read_and_keeps_no_secret(name: str) -> None:
    text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in text
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_ci_runs_the_script_of_the_repository_on_every_supported_python() -> None:
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]["test"]
    assert job["steps"][-1]["run"] == "bash .ci/run"
    supported = [line.split()[-1] for line in project()["classifiers"] if "Python :: 3." in line]
    assert job["strategy"]["matrix"]["python"] == supported


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the sources, so that no `build` folder of the checkout gets into it."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("transfercli", "configs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist")]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = (folder / "dist").iterdir()
    return path


@pytest.mark.slow
def test_the_wheel_holds_the_examples_their_schema_the_templates_and_py_typed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"transfercli/configs/{name}" for name in EXAMPLES} <= names
    for name in ("configs/transfercli.schema.json", "py.typed", "evaluation/report/templates/report.css"):
        assert f"transfercli/{name}" in names
    assert {name.split("/")[0] for name in names} == {"transfercli", f"transfercli-{transfercli.__version__}.dist-info"}


@pytest.mark.slow
def test_an_installed_wheel_writes_an_example(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    probe = "import transfercli; print(transfercli.__file__, flush=True)\nfrom transfercli.cli.app import main; main()"
    command = [sys.executable, "-c", probe, "config", "init", "--example", "quickstart/finetune", "-o", "f.yaml"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(site)}
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[:2] == [str(site / "transfercli" / "__init__.py"), "wrote f.yaml"]
    assert "train: data/digits-target\n" in (tmp_path / "f.yaml").read_text()
