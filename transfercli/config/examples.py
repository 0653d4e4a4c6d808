"""The example configs that come with the program, and their text for a file somewhere else."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import transfercli
from transfercli.config.editor import EDITOR_LINE
from transfercli.errors import UsageError
from transfercli.text import did_you_mean

# From a config in configs/TASK/ to the data beside configs/. In a copy, the data are below the working folder.
DATA = "../../data/"
_DATA_PATH = re.compile(rf"(?P<key>\b(?:train|test|unlabelled): )?'?{re.escape(DATA)}(?P<name>[\w./-]*)'?")


@dataclass(frozen=True)
class Example:
    """A shipped config: `name` is its path below configs/ without the ending."""

    name: str
    path: Path

    @property
    def command(self) -> str:
        """`pretrain` or `finetune`, as in the launch line."""
        return "pretrain" if "transfercli pretrain" in self._opening else "finetune"

    @property
    def description(self) -> str:
        """The text after `# Does:`, in one line."""
        does = re.search(r"^# Does: +(.*?)^# [A-Z]\w+: ", self._opening, re.MULTILINE | re.DOTALL)
        return " ".join(line.strip("# ") for line in does[1].splitlines()) if does else ""

    def text_for(self, output: Path | None) -> str:
        """Return the config for the file `output`, or for stdout; it extends nothing and loads from there.

        Relative paths of data start in the working folder, and the launch line names the new file.
        """
        text = self._opening + self._values
        text = text.replace(f"configs/{self.name}.yaml", shlex.quote(str(output)) if output else "THIS_FILE")
        folder = Path(os.path.relpath("data", output.parent)).as_posix() if output else "data"
        return _DATA_PATH.sub(partial(_moved, folder), text)

    @property
    def _opening(self) -> str:
        """The comments at the top, without the line for editors, whose path is of the shipped file."""
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        end = next(number for number, line in enumerate(lines) if not line.startswith("#"))
        return "".join(line for line in lines[:end] if not line.startswith(EDITOR_LINE))

    @property
    def _values(self) -> str:
        text = self.path.read_text(encoding="utf-8")
        if re.search("^extends:", text, re.MULTILINE):
            from transfercli.config.dump import dump_values
            from transfercli.config.merging import read

            return dump_values(read(self.path).value)
        return re.sub(r"\A(#.*\n)*", "", text)


def _moved(folder: str, match: re.Match[str]) -> str:
    from transfercli.config.dump import quoted

    path = f"{folder}/{match['name']}"
    return f"{match['key']}{quoted(path)}" if match["key"] else path


def examples_folder() -> Path:
    """Return `configs` inside the installed package, or beside the package in a checkout."""
    package = Path(transfercli.__file__).parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def example_names() -> Sequence[str]:
    """Return the names of all examples, such as `quickstart/finetune`, sorted."""
    folder = examples_folder()
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def examples() -> list[Example]:
    """Return all examples, by name."""
    return [Example(name, examples_folder() / f"{name}.yaml") for name in example_names()]


def example(name: str) -> Example:
    """Return the example of that name, with or without `.yaml`; raises `UsageError` if there is none."""
    name = name.removesuffix(".yaml")
    names = example_names()
    if name not in names:
        hint = f"{did_you_mean(name, names, written=str)} allowed: {', '.join(names)}".lstrip()
        raise UsageError(f"--example {name!r} is not a shipped example", hint)
    return Example(name, examples_folder() / f"{name}.yaml")
