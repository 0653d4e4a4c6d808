"""Workflow of `weights check`: a weight file's network, the base that it fits, and what becomes of each tensor."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transfercli.config.schema import ComputeConfig, HubWeights
from transfercli.errors import ArtefactError, ConfigError, TransferError
from transfercli.io.checksum import file_sha256
from transfercli.models.bases import BASES
from transfercli.models.weights.file_kinds import SAFETENSORS, kind_of
from transfercli.models.weights.files import (
    WeightSource,
    check_weight_file,
    read_weight_file,
    recognised_file,
    title_of,
    weight_path,
)
from transfercli.models.weights.foreign.fit import AUTO, DIFFER, check_base, check_known_network
from transfercli.models.weights.foreign.recognition import Recognised
from transfercli.models.weights.hub import HubFile, fetched
from transfercli.models.weights.safetensors_reader import TensorEntry, read_header
from transfercli.models.weights.targets import source_of
from transfercli.reporting import Reporter
from transfercli.workflows.initial_weights import base_of_file, head_of_file, pixels_problem

KEYS = re.compile(r"^model\.weights(\.\w+)?: ")
OWN_NAMES, KERAS_NAMES = "names of this program", "names of Keras's layers"


@dataclass(frozen=True)
class CheckedTensor:
    """Tensor of a file, or weight of a base that the file lacks.

    name: in the file, or None. weight: name here, or None. shape, dtype: in the file. action: copied, unused or
    missing.
    """

    name: str | None
    weight: str | None
    shape: tuple[int, ...] | None
    dtype: str | None
    action: str
    reason: str


@dataclass(frozen=True)
class WeightCheck:
    """Result of `weights check`.

    Attributes:
        file: path or name of the file; hub: repository, revision (commit) and asked (branch or tag), or None.
        file_format: safetensors or hdf5.
        names: the library and the network for people, such as "PyTorch names of a ResNet-18".
        prefix: before every name of the network; "" if there is none.
        dtypes: number of tensors of each type. bytes: of the file. licence: of the repository's card, or None.
        bases: all bases that the names and shapes fit; base: the one that the tensors were mapped to, or None.
        head: number of classes of the classification head and their names, or None without one.
        problems: in words; empty if there are none.
    """

    file: str
    hub: dict[str, str] | None
    file_format: str
    names: str
    prefix: str
    dtypes: Mapping[str, int]
    bytes: int
    sha256: str
    licence: str | None
    bases: tuple[str, ...]
    base: str | None
    head: dict[str, Any] | None
    problems: tuple[str, ...]
    tensors: tuple[CheckedTensor, ...]

    def count(self, action: str) -> int:
        """Return the number of tensors with this action."""
        return sum(tensor.action == action for tensor in self.tensors)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def check_weights_of(target: str, base: str | None, reporter: Reporter) -> WeightCheck:
    """Return what a weight file is, and what becomes of each tensor. Nothing is trained.

    target: a path, or `hub:REPOSITORY[@REVISION][/FILE]`. base: the base to check against; None for the one that fits.
    Raises `WeightsError` if the file is missing, `ArtefactError` if it is damaged, of no known network or not whole,
    `ConfigError` if it is of another base than `base`.
    """
    source = source_of(target)
    with _without_keys():
        path = weight_path(source, reporter)
        check_weight_file(source, reporter, base)
        contents = _contents(source, path)
        problems: list[str] = []
        if contents.recognised:
            check_known_network(contents.recognised)
            base, problems = _chosen(source, contents.recognised, base)
            problems += filter(None, [pixels_problem(base, source, path)])
        tensors = _mapped(source, base, contents.entries) if base else _listed(contents.entries)
        return _result(source, path, base, contents, tensors, problems)


@dataclass(frozen=True)
class _Contents:
    """Header of a weight file. recognised: None for the names of this program or of Keras."""

    file_format: str
    names: str
    entries: Mapping[str, TensorEntry]
    recognised: Recognised | None = None


def _contents(source: WeightSource, path: Path) -> _Contents:
    if kind_of(path, title_of(source)) is not SAFETENSORS:
        stored = read_weight_file(source, Reporter())[1]
        entries = {name: TensorEntry(str(value.dtype), value.shape) for name, value in stored.items()}
        return _Contents("hdf5", KERAS_NAMES, entries)
    recognised = recognised_file(path, source)
    return _Contents("safetensors", recognised.description if recognised else OWN_NAMES, read_header(path), recognised)


@contextmanager
def _without_keys() -> Iterator[None]:
    """Leave out the keys of a config, which stand in the messages and hints about a weight file."""
    try:
        yield
    except TransferError as error:
        error.message = KEYS.sub("", error.message).replace("model.base: ", "base ")
        error.args = (error.message,)
        if error.hint:
            error.hint = error.hint.replace(AUTO, "without --base, the base that the file's names show is taken")
        raise


def _chosen(source: WeightSource, recognised: Recognised, base: str | None) -> tuple[str, list[str]]:
    """Return the base to map the tensors to, and a problem if the file does not say which it is."""
    if base:
        check_base(recognised, base)
        return base, []
    try:
        return base_of_file(source, Reporter()), []
    except ConfigError:
        problem = (
            f"{' and '.join(recognised.bases)} have tensors of these names and shapes, and {DIFFER}; name the"
            f" base that the weights were trained with; shown is {recognised.bases[0]}"
        )
        return recognised.bases[0], [problem]


def _result(
    source: WeightSource,
    path: Path,
    base: str | None,
    contents: _Contents,
    tensors: tuple[CheckedTensor, ...],
    problems: list[str],
) -> WeightCheck:
    file = fetched(source, Reporter()) if isinstance(source, HubWeights) else None
    recognised, head = contents.recognised, None
    with suppress(ConfigError):
        head = asdict(head_of_file(source, Reporter()))
    return WeightCheck(
        file=source.file if isinstance(source, HubWeights) else source.path,
        hub=_hub_facts(file),
        file_format=contents.file_format,
        names=contents.names,
        prefix=recognised.prefix if recognised else "",
        dtypes=dict(Counter(entry.dtype for entry in contents.entries.values())),
        bytes=path.stat().st_size,
        sha256=file_sha256(path),
        licence=file.licence if file else None,
        bases=recognised.bases if recognised else (base,) if base else (),
        base=base,
        head=head,
        problems=(*problems, *_missing(tensors, base), *_no_base(base)),
        tensors=tensors,
    )


def _hub_facts(file: HubFile | None) -> dict[str, str] | None:
    return {"repository": file.repository, "revision": file.commit, "asked": file.asked} if file else None


def _no_base(base: str | None) -> tuple[str, ...]:
    return () if base else ("these names do not say the base: name one with --base BASE to see which tensors fit",)


def _missing(tensors: tuple[CheckedTensor, ...], base: str | None) -> tuple[str, ...]:
    missing = sum(tensor.action == "missing" for tensor in tensors)
    return (f"{missing} weights of {base} are not in the file: they would be random",) if missing else ()


def _listed(entries: Mapping[str, TensorEntry]) -> tuple[CheckedTensor, ...]:
    return tuple(
        CheckedTensor(name, None, entry.shape, entry.dtype, "unused", "no base is named")
        for name, entry in entries.items()
    )


def _mapped(source: WeightSource, base: str, entries: Mapping[str, TensorEntry]) -> tuple[CheckedTensor, ...]:
    """Return what becomes of each tensor of a file, and the weights of the base that it lacks.

    Raises `ArtefactError` if a file of another library lacks any, or no tensor fits.
    """
    from transfercli.training.backend import prepare

    prepare(ComputeConfig(), seed=0)  # before Keras is imported
    from transfercli.models.classifier import build_base
    from transfercli.models.tensor_names import weight_names
    from transfercli.models.weights.pretrained import file_tensors

    size = BASES[base].size
    network = build_base(base, (size, size), 3)
    mapped = file_tensors(source, base, network, Reporter())
    names = weight_names("base", network)
    shapes = {names[id(variable)]: tuple(variable.shape) for layer in network.layers for variable in layer.weights}
    rows: list[CheckedTensor] = []
    for weight, shape in shapes.items():
        value = mapped.tensors.get(weight)
        sources = mapped.sources.get(weight, (weight if weight in entries else weight.removeprefix("base/"),))
        if value is not None and value.shape == shape:
            rows += [_row(name, weight, entries, "copied", "the names and shapes fit") for name in sources]
        else:
            reason = "not in the file" if value is None else f"shape {list(value.shape)} does not fit {list(shape)}"
            rows.append(CheckedTensor(None, weight, None, None, "missing", reason))
    if not any(row.action == "copied" for row in rows):
        raise ArtefactError(f"no tensor of the file fits the base {base}", "name the base it was written for: --base")
    unused = dict(mapped.unused)
    if not mapped.sources:
        unused = dict.fromkeys(sorted(mapped.tensors.keys() - shapes.keys()), f"{base} has no such weight")
    rows += [_row(name, None, entries, "unused", reason) for name, reason in unused.items()]
    return tuple(rows)


def _row(name: str, weight: str | None, entries: Mapping[str, TensorEntry], action: str, reason: str) -> CheckedTensor:
    entry = entries.get(name) or entries.get(name.removeprefix("base/"))
    return CheckedTensor(name, weight, entry.shape if entry else None, entry.dtype if entry else None, action, reason)
