"""Generator of `docs/reference/config.md`: `python -m transfercli.config.reference_docs [FILE]`, else to stdout."""

from __future__ import annotations

import sys
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from transfercli.config import descriptions, registries
from transfercli.config.dump import quoted
from transfercli.config.schema import ExperimentConfig

WIDTH = 120

OPENING = """\
# The config

One YAML file is one experiment. This page is generated from the schema (`python -m transfercli.config.reference_docs`);
`transfercli config schema` prints it as JSON Schema for editors, `transfercli config show FILE` prints a config with
all defaults filled in, and `transfercli config validate FILE…` checks files without training.

## How a file is read

- Only `name`, `data.train` and `model.base` are required. An unknown or duplicate key is an error.
- Numbers, `true`/`false` and `null` follow YAML 1.2: `1e-4` is a number; `no`, `on` and `2026-01-01` are text.
  A number in quotes is text. Keys are always text, so that a class may be named `0` or `no`.
- Aliases, anchors, merge keys, tags, several documents, NaN and infinity are errors; a file holds at most 64 KiB.
- `--set a.b.c=VALUE` replaces one key; VALUE is parsed by the same rules:
  `--set training.optimizer.learning_rate=1e-4`, `--set model.weights.run=digits-source`. A list is replaced as a whole.
- `extends: other.yaml` inherits all values of another file that this one does not set: mappings are merged, lists and
  single values replaced. The path is relative to the file with the `extends` key.
- A file may have `format: 1`, as in the output of `config show --json`, which is a config again.
- Relative paths (`data.train`, `data.validation`, `data.test`, `model.weights.path`, `compute.cache_dir`) are relative
  to the file that holds them; with `--set`, to CONFIG. CONFIG can also be the `config.yaml` of a run: its paths are
  relative to the folder of the config that the run was started with. A RUN (`model.weights.run`, `model.base.run`) is
  resolved as on the command line.
- All errors are reported at once, each as `file:line: key: what was wrong, received …; allowed: …`, with exit code 3.
"""

RULES = """\
## Rules across several keys

- `transfer.phases` replaces `transfer.strategy` and `transfer.unfreeze`; `training.epochs` is then the sum of their
  epochs.
- `transfer.unfreeze` needs the strategy `partial` or `lora`, and `transfer.lora` the strategy `lora`.
- `linear_probe` and `auto` need a linear head: `model.head.hidden` must be empty.
- `model.head.init: keep` needs the head of a run or file: `model.weights` of `{run: RUN}`, `{path: FILE}` or
  `{hub: REPOSITORY}`; `extend` needs that of a run.
- `model.base: auto` needs the same.
- `model.head.output: sigmoid` is for two classes.
- `augmentation.layers` replaces the preset. No preset mixes images; list `MixUp` or `CutMix` for that. A preset keeps
  the label of an image, so that features of its views can be cached and training accuracy stays meaningful. A mixed
  image is different in every batch, and mixing pays off in long trainings. With JAX the compiled step augments images,
  by draws of each image's own; with TensorFlow the host does (see the guide to accelerators).
- `data.folds` and `data.fold` are set together, and replace `data.validation`.
- `data.validation` and `data.test`, both as fractions, sum to less than 1.
- `data.image_size` is at least the smallest size that the base accepts.
- `evaluation.gates` names metrics, or `recall[LABEL]`, `precision[LABEL]`, `f1[LABEL]` for one class, with bounds that
  the metric can reach.
- `model.weights: imagenet` needs a base with published weights.
- `compute.distribution: data_parallel` needs KERAS_BACKEND=jax, and `data.batch_size` divides by the number of devices.
"""


def reference() -> str:
    """Return the page as Markdown."""
    parts = [
        OPENING,
        *_sections(ExperimentConfig, ""),
        RULES,
        _tables(),
    ]
    return "\n".join(parts)


def _sections(model: Any, above: str) -> Iterator[str]:
    entries = [_row(name, hint, model) for name, hint in descriptions.hints(model).items()]
    title = f"`{above}`" if above else "Top level"
    yield "\n".join([f"## {title}\n", f"{model.__doc__}\n", *entries, ""])
    for name, hint in descriptions.hints(model).items():
        for section, suffix in _sections_of(hint):
            yield from _sections(section, f"{above}.{name}".removeprefix(".") + suffix)


def _sections_of(hint: Any) -> Iterator[tuple[Any, str]]:
    for member in descriptions.branches(hint):
        inner = descriptions.unannotated(member)
        if descriptions.is_section(inner):
            many = len(descriptions.branches(hint)) > 1
            yield inner, f": {{{', '.join(inner.model_fields)}}}" if many else ""
        elif typing.get_origin(inner) is list and descriptions.is_section(typing.get_args(inner)[0]):
            yield typing.get_args(inner)[0], "[]"


def _row(name: str, hint: Any, model: Any) -> str:
    """Return the item of one key: its default and meaning, and the allowed values on a line of their own."""
    field = model.model_fields[name]
    is_section = (
        descriptions.is_section(descriptions.unannotated(descriptions.branches(hint)[0]))
        and len(descriptions.branches(hint)) == 1
    )
    allowed = "a mapping, see below" if is_section else _allowed(hint)
    meaning = field.description or (_summary(hint) if is_section else "")
    head = f"- **`{name}`**{_default(field)}: {meaning}."
    return "\n".join([*_wrapped(head), *_wrapped(f"  Allowed: {allowed}.")])


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _summary(hint: Any) -> str:
    return str(descriptions.unannotated(descriptions.branches(hint)[0]).__doc__).removesuffix(".")


def _allowed(hint: Any) -> str:
    row = next(
        (descriptions.row_of(member) for member in descriptions.branches(hint) if descriptions.row_of(member)), None
    )
    text = descriptions.allowed(hint)
    if row and len(registries.names(row.table)) > descriptions.MAX_LISTED:
        text = text.replace(f"{descriptions.listed_by(row.table)} lists them", "listed below")
    return text


def _default(field: Any) -> str:
    """Return the words that follow the key's name; empty if the key is a section of its own."""
    if field.is_required():
        return " (required)"
    if field.default_factory is not None:
        value = field.get_default(call_default_factory=True)
        return f" (default `{_plain(value)}`)" if isinstance(value, (list, dict)) else ""
    return "" if field.default is PydanticUndefined else f" (default `{_plain(field.default)}`)"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    return quoted(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def _tables() -> str:
    lines = ["## The tables", "", "Names that a key may take, by table.", ""]
    for table in registries.TABLES:
        lines += _wrapped(f"- **{table}**: {', '.join(f'`{name}`' for name in registries.names(table))}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1:]:
        Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
    else:
        sys.stdout.write(reference())
