"""Modules that a run passes through: python -m benchmarks.run_path FOLDER

Trains a small run on real digits in FOLDER and predicts with it, and counts the modules of the package with a function
that is called with the run: its name as typed, its folder, or an object that stands for it (a handle, a job). A
stranger who follows a RUN from the command line to a probability, or a config to a run, opens these files.
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
HANDLES = {"RunFolder", "StoredRun", "TrainedRun", "Job"}
NAME = "digits-path"
CONFIG = f"""name: {NAME}
data: {{train: data, image_size: 32}}
model: {{base: small_cnn, weights: none}}
training: {{epochs: 1}}
transfer: {{strategy: full}}
"""


def stands_for_a_run(value: Any) -> bool:
    return type(value).__name__ in HANDLES or (type(value) is str and value == NAME)


class Collector:
    """A profiling hook that collects the modules whose functions are called with a run."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self._files: dict[CodeType, str] = {}

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event != "call":
            return
        code = frame.f_code
        if code not in self._files:
            path = Path(code.co_filename)
            inside = path.is_relative_to(PACKAGE)
            self._files[code] = path.relative_to(PACKAGE).with_suffix("").as_posix() if inside else ""
        module = self._files[code]
        if module and module not in self.modules:
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            if any(stands_for_a_run(frame.f_locals.get(name)) for name in names):
                self.modules.add(module)


def call(*words: str) -> None:
    sys.argv = ["transfercli", *words]
    try:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            program()
    except SystemExit as leave:
        if leave.code:
            raise


def modules_with_the_run(run: Callable[[], None]) -> list[str]:
    collector = Collector()
    sys.setprofile(collector)
    try:
        run()
    finally:
        sys.setprofile(None)
    return sorted(collector.modules)


def main(folder: Path) -> None:
    os.chdir(folder)
    call("sample", "digits", "data")
    Path("c.yaml").write_text(CONFIG)
    trained = modules_with_the_run(lambda: call("finetune", "c.yaml", "--quiet"))
    image = next(Path("data/test").rglob("*.png"))
    predicted = modules_with_the_run(lambda: call("predict", NAME, str(image), "--quiet"))
    for name, modules in (("predict", predicted), ("finetune", trained)):
        print(f"{name}: {len(modules)} modules: {', '.join(modules)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
