"""Base of a starter config: the one that the user names, or one whose published weights are on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from transfercli.config import registries
from transfercli.config.schema import HubWeights
from transfercli.config.starter import SMALL_BASE, ChosenBase, Survey, default_base
from transfercli.errors import ConfigError, UsageError
from transfercli.models.base import Base
from transfercli.models.base_costs import MULTIPLY_ADDS
from transfercli.models.base_names import repository_named
from transfercli.models.bases import BASES
from transfercli.models.weights.file_kinds import READ_BY_SUFFIX
from transfercli.models.weights.files import WeightSource
from transfercli.models.weights.targets import source_of
from transfercli.reporting import Reporter
from transfercli.text import byte_size, first_of
from transfercli.workflows.initial_weights import base_of_file

MOST_MULTIPLY_ADDS = 5 * 10**9  # of one image: a base that is chosen unasked costs little more than ResNet50
WEIGHT_BYTES = 4  # of one float32


def named_base(text: str, folder: Path, option: str = "--base", with_base: str = "") -> ChosenBase:
    """Return the base that a name means, as this program or another writes it, or that a weight file is for.

    text: a name, the path of a weight file, or `hub:REPOSITORY[@REVISION][/FILE]`. folder: of the config, which the
    path in it is relative to. option: of the command line, for messages; with_base: gives a weight file its base;
    "" if the config must name both.

    Raises `UsageError` if there is no such base, or a file does not say which it is; `WeightsError` and `ArtefactError`
    as `weights check` does.
    """
    if text.startswith("hub:") or Path(text).suffix.lower() in READ_BY_SUFFIX:
        return _base_of_file(text, folder, option, with_base)
    name = registries.row_name("base", text)
    if name is None:
        hint = registries.hint("base", text)
        raise UsageError(
            f"{option} {text!r} is not the name of a base",
            f"{hint and f'{hint}; '}`transfercli bases list` has them all; a weight file (FILE or hub:REPO) shows its"
            " own",
        )
    repository, published = repository_named(text), BASES[name].repository
    is_published = published is not None and published.repository == repository
    return ChosenBase(name, weights={} if is_published or repository is None else {"hub": repository})


def _base_of_file(target: str, folder: Path, option: str, with_base: str) -> ChosenBase:
    source = source_of(target)
    try:
        name = base_of_file(source, Reporter())
    except ConfigError as error:
        problem = error.message.removeprefix("model.base: auto, but ")
        section = yaml.safe_dump(weights_section(source, folder), default_flow_style=True, width=10**6).strip()
        guess = registries.row_name("base", Path(target).name.partition(".")[0]) or "BASE"
        mend = with_base or f"{option} {guess}, and then model.weights: {section} in the config"
        raise UsageError(f"{option} {target}: {problem}", f"{error.hint}: {mend}") from error
    return ChosenBase(name, weights=weights_section(source, folder))


def weights_section(source: WeightSource, folder: Path) -> dict[str, str]:
    """Return `model.weights` of a config in a folder, for a file or a repository as a command line names it."""
    if isinstance(source, HubWeights):
        return source.model_dump(exclude_defaults=True)
    path = source.path if Path(source.path).is_absolute() else Path(os.path.relpath(source.path, folder)).as_posix()
    return {"path": path}


def base_at_hand(images: Survey) -> ChosenBase:
    """Return the base for the images of a survey: the default one, unless others alone have their weights here.

    Among those it is the most accurate of at most `MOST_MULTIPLY_ADDS`, or the cheapest if all cost more.
    """
    default = default_base(images)
    row = BASES[default.name]
    if not row.has_imagenet:
        return default
    if is_here(row):
        return ChosenBase(default.name, "its published weights are on this machine")
    here = [name for name, base in BASES.items() if is_here(base)]
    if not here:
        size = byte_size(row.parameters * WEIGHT_BYTES)
        return ChosenBase(
            default.name,
            f"no published weights are on this machine: training downloads these, {size}; {SMALL_BASE} needs none",
        )
    cheap = [name for name in here if MULTIPLY_ADDS[name] <= MOST_MULTIPLY_ADDS]
    best = max(cheap, key=_accuracy) if cheap else min(here, key=MULTIPLY_ADDS.__getitem__)
    others = first_of([name for name in here if name != best], 5)
    reason = f"its published weights are on this machine, those of {default.name} are not"
    return ChosenBase(best, f"{reason}; others here: {others}" if others else reason)


def is_here(base: Base) -> bool:
    """Return True if the published weights of a base are on this machine."""
    return base.stored_weights((base.size, base.size)) is not None


def _accuracy(name: str) -> float:
    """Return the published accuracy; 0 if there is none, for a network without a classification head."""
    published = BASES[name].published or BASES[name].repository
    return (published.top1 if published else None) or 0.0
