"""The build step that pyproject.toml cannot describe: configs/, beside the package, goes into it."""

from __future__ import annotations

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

EXAMPLES = Path("configs")


class BuildWithExamples(build_py):
    """Copies the example configs and their schema to `transfercli/configs` of what is built.

    An editable install needs no copy: the program finds the folder beside the package.
    """

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for path in sorted(path for kind in ("*.yaml", "*.json") for path in EXAMPLES.rglob(kind)):
            target = Path(self.build_lib, "transfercli", path)
            self.mkpath(str(target.parent))
            self.copy_file(str(path), str(target))


setup(cmdclass={"build_py": BuildWithExamples})
