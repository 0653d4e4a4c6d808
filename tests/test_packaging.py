"""The built distribution: what is in the wheel, and that it works without the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(path.relative_to(ROOT / "configs").as_posix() for path in (ROOT / "configs").rglob("*.yaml"))


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "transfercli" / "py.typed").is_file()
    assert "Typing :: Typed" in project()["classifiers"]


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
    assert {name.split("/")[0] for name in names} == {"transfercli", f"transfercli-{project_version()}.dist-info"}


def project_version() -> str:
    import transfercli

    return transfercli.__version__


@pytest.mark.slow
def test_an_installed_wheel_writes_an_example(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    probe = "import transfercli; print(transfercli.__file__)\nfrom transfercli.cli.app import main; main()"
    command = [sys.executable, "-c", probe, "config", "init", "--example", "quickstart/finetune", "-o", "f.yaml"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(site)}
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == [str(site / "transfercli" / "__init__.py"), "wrote f.yaml"]
    assert "train: data/digits-target\n" in (tmp_path / "f.yaml").read_text()
