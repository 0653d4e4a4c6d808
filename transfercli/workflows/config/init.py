"""Workflow of `config init`: a commented starter config for a data set, or a shipped example."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfercli.config.editor import editor_line
from transfercli.config.examples import Example, example, examples
from transfercli.config.starter import UNKNOWN, Survey, starter
from transfercli.data.sources.keras_datasets import dataset_of, is_keras
from transfercli.errors import DataError, UsageError
from transfercli.io.atomic import write_errors, write_text
from transfercli.reporting import Reporter
from transfercli.workflows.config.base_choice import base_at_hand, named_base
from transfercli.workflows.config.survey import survey


@dataclass(frozen=True)
class StarterConfig:
    """A starter config. path: of the file that was written, or None. text: YAML."""

    path: Path | None
    text: str

    def as_json(self) -> dict[str, Any]:
        return {"path": None if self.path is None else str(self.path), "config": self.text}


@dataclass(frozen=True)
class ExampleList:
    """The example configs that come with the program."""

    examples: tuple[Example, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "examples": [
                {"name": entry.name, "command": entry.command, "description": entry.description}
                for entry in self.examples
            ]
        }


def init_config(base: str | None, data: str | None, output: Path | None, reporter: Reporter) -> StarterConfig:
    """Return the starter config for `data`, and write it to `output` if that is not None.

    base: a name of a base, as this program or another writes it, or a weight file; None chooses one.

    Raises `UsageError` if `output` exists or `base` is unknown, `DataError` if `data` cannot be used.
    """
    chosen = None if base is None else named_base(base, output.parent if output else Path())
    check_new(output)
    if data and is_keras(data):
        dataset_of(data)
    images = survey(data, output.parent if output else Path(), reporter) if data else UNKNOWN
    _check_enough_images(images)
    return _write_starter(starter(images, chosen or base_at_hand(images), str(output) if output else None), output)


def init_example(name: str, output: Path | None) -> StarterConfig:
    """Return a shipped example, and write it to `output` if that is not None.

    Raises `UsageError` if `output` exists or `name` is unknown.
    """
    check_new(output)
    return _write_starter(example(name).text_for(output), output)


def list_examples() -> ExampleList:
    """Return the shipped examples, by name."""
    return ExampleList(tuple(examples()))


def check_new(output: Path | None) -> None:
    """Raise `UsageError` if `output` exists."""
    if output is not None and output.exists():
        raise UsageError(f"{output} exists already and is not changed", "name another file with -o, or remove that one")


def write(output: Path, text: str) -> None:
    """Write a text file, and create its folder."""
    with write_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, text)


def _write_starter(text: str, output: Path | None) -> StarterConfig:
    """Add the editor line, and write the file if `output` is not None."""
    text = editor_line(output.parent if output else Path()) + text
    if output is not None:
        write(output, text)
    return StarterConfig(output, text)


def _check_enough_images(images: Survey) -> None:
    """Check that each class has a training image, and one for each split that is still to be made.

    Raises `DataError` if a class has fewer.
    """
    least = 1 + len({"validation", "test"} - {*images.splits})
    few = [f"{label!r} has {count}" for label, count in images.counts.items() if count < least]
    if few:
        raise DataError(
            f"--data {images.data!r}: class {', '.join(few[:5])} images; training needs at least {least} per class",
            "add images, or remove the class",
        )
