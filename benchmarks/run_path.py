"""Modules that a run passes through, for `finetune` and `predict`.

Usage: python -m benchmarks.run_path FOLDER

Trains a small run on real digits in FOLDER and predicts with it. Prints the modules of the package with a function that
receives the run as an argument: its name as typed, its folder, or an object that represents it (`HANDLES`). These are
the files to read from RUN on the command line to a probability, or from a config to a run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import transfercli
from transfercli.cli.app import main as program

PACKAGE = Path(transfercli.__file__).parent
HANDLES = {"RunFolder", "StoredRun", "TrainedRun", "Job"}  # classes that represent a run
NAME = "digits-path"
CONFIG = f"""name: {NAME}
data: {{train: data, image_size: 32}}
model: {{base: small_cnn, weights: none}}
training: {{epochs: 1}}
transfer: {{strategy: full}}
"""


def is_run(value: Any) -> bool:
    """Return True if a value is the name of the run or an object that represents it."""
    return type(value).__name__ in HANDLES or (type(value) is str and value == NAME)


class ModuleCollector:
    """Profiling hook that collects the modules with functions that receive a run."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self._files: dict[CodeType, str] = {}

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event != "call":
            return
        code = frame.f_code
        if code not in self._files:
            path = Path(code.co_filename)
            in_package = path.is_relative_to(PACKAGE)
            self._files[code] = path.relative_to(PACKAGE).with_suffix("").as_posix() if in_package else ""
        module = self._files[code]
        if module and module not in self.modules:
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            if any(is_run(frame.f_locals.get(name)) for name in names):
                self.modules.add(module)


def call(*arguments: str) -> None:
    """Run a command in this process without its output. Raises `SystemExit` if it fails."""
    sys.argv = ["transfercli", *arguments]
    try:
        with Path(os.devnull).open("w") as null, redirect_stdout(null):
            program()
    except SystemExit as error:
        if error.code:
            raise


def modules_with_run(command: Callable[[], None]) -> list[str]:
    """Return the modules with functions that receive the run while the command runs."""
    collector = ModuleCollector()
    sys.setprofile(collector)
    try:
        command()
    finally:
        sys.setprofile(None)
    return sorted(collector.modules)


def main(folder: Path) -> None:
    os.chdir(folder)
    call("sample", "digits", "data")
    Path("c.yaml").write_text(CONFIG)
    finetune_modules = modules_with_run(lambda: call("finetune", "c.yaml", "--quiet"))
    image = next(Path("data/test").rglob("*.png"))
    predict_modules = modules_with_run(lambda: call("predict", NAME, str(image), "--quiet"))
    for name, modules in (("predict", predict_modules), ("finetune", finetune_modules)):
        print(f"{name}: {len(modules)} modules: {', '.join(modules)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
