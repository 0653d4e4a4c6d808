"""Candidates of a recommendation: bases with the weights that a fine-tuning would start from, as `--set` options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from transfercli.config import registries
from transfercli.config.loader import LoadedConfig
from transfercli.config.schema import ExperimentConfig, RunReference
from transfercli.errors import ArtefactError, TransferError, UsageError, WeightsError
from transfercli.models.bases import BASES
from transfercli.models.weights.file_kinds import READ_BY_SUFFIX
from transfercli.models.weights.targets import source_of
from transfercli.runs.lookup import find_run, is_experiment
from transfercli.workflows.config.base_choice import is_here, named_base, weights_section


@dataclass(frozen=True)
class Candidate:
    """Base with its weights, at one image size.

    name: as the user wrote it, or the base's own name. settings: `KEY=VALUE`, which make a config use it.
    problem: error that keeps it from being compared, or None.
    """

    name: str
    settings: tuple[str, ...]
    problem: TransferError | None = None


@dataclass(frozen=True)
class CandidateRequest:
    """Options of `recommend` that say what is compared.

    Attributes:
        bases: names of bases, weight files, `hub:REPOSITORY` or runs; empty for all bases whose weights are here.
        weights: `BASE=FILE` or `BASE=hub:REPOSITORY`.
        image_sizes: in pixels; empty for the config's, or that of each base.
    """

    bases: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    image_sizes: tuple[int, ...] = ()


def candidates_of(request: CandidateRequest, loaded: LoadedConfig, runs: Path) -> list[Candidate]:
    """Return the candidates of a config, each once.

    A base has the weights that `--weights` or the config gives it, or else its published ones. A run or repository that
    is missing is a candidate with a problem. Raises `UsageError` for a name that is none, `WeightsError` if no base was
    named and no weights are on this machine.
    """
    given = dict(_weights_option(text, loaded.folder) for text in request.weights)
    if request.bases:
        found = [_named(text, loaded, given, runs) for text in request.bases]
    else:
        found = _at_hand(loaded.config, given)
    found += [_of_base(base, loaded.config, given) for base in given]
    if not found:
        raise WeightsError(
            "no base has its weights on this machine",
            "name some with --bases, whose published weights are then fetched, or a file with --weights BASE=FILE",
        )
    unique = {candidate.settings: candidate for candidate in found}.values()
    return [sized for candidate in unique for sized in _at_sizes(candidate, request.image_sizes)]


def _at_sizes(candidate: Candidate, sizes: Sequence[int]) -> list[Candidate]:
    if candidate.problem or not sizes:
        return [candidate]
    return [replace(candidate, settings=(*candidate.settings, f"data.image_size={size}")) for size in sizes]


def _named(text: str, loaded: LoadedConfig, given: Mapping[str, str], runs: Path) -> Candidate:
    """Return the candidate that a text names: a base, a weight file, a repository or a run."""
    try:
        chosen = named_base(text, loaded.folder, "--bases", "--weights BASE=FILE")
    except UsageError as error:
        if text.startswith("hub:") or Path(text).suffix.lower() in READ_BY_SUFFIX:
            raise
        return _of_run(text, runs, error)
    except TransferError as error:
        return Candidate(text, (f"model.weights={text}",), error)
    if chosen.weights:
        return Candidate(text, (f"model.base={chosen.name}", _setting("model.weights", chosen.weights)))
    return _of_base(chosen.name, loaded.config, given)


def _of_base(name: str, config: ExperimentConfig, given: Mapping[str, str]) -> Candidate:
    if name in given:
        return Candidate(name, (f"model.base={name}", given[name]))
    model = config.model
    if model.base == name and model.weights != "none":
        return Candidate(name, (f"model.base={name}",))
    settings = (f"model.base={name}", "model.weights=imagenet")
    if not BASES[name].has_imagenet:
        hint = f"give it those of a file with --weights {name}=FILE, or name a run"
        return Candidate(name, settings, WeightsError(f"there are no published weights for {name}", hint))
    return Candidate(name, settings)


def _of_run(text: str, runs: Path, no_base: UsageError) -> Candidate:
    """Return the candidate with the base and the weights of a run; raise `no_base` if the text names no run either."""
    reference = {"run": text}
    settings = (_setting("model.base", reference), _setting("model.weights", reference))
    try:
        find_run(text, runs)
    except ArtefactError as error:
        if "@" in text or "/" in text or is_experiment(text, runs):
            return Candidate(text, settings, error)
        raise UsageError(no_base.message + f", nor of a run under {runs}", no_base.hint) from error
    return Candidate(text, settings)


def _at_hand(config: ExperimentConfig, given: Mapping[str, str]) -> list[Candidate]:
    """Return the bases whose published weights are on this machine, and that of the config if it has weights."""
    found = [_of_base(name, config, given) for name, row in BASES.items() if is_here(row)]
    model = config.model
    if model.weights in ("imagenet", "none"):
        return found
    name = model.base.run if isinstance(model.base, RunReference) else model.base
    settings = () if name == "auto" or isinstance(model.base, RunReference) else (f"model.base={name}",)
    return [*found, Candidate(name, settings)]


def _weights_option(text: str, folder: Path) -> tuple[str, str]:
    """Return the base of `BASE=FILE` and the setting of its weights."""
    name, equals, target = text.partition("=")
    base = registries.row_name("base", name)
    if not equals or not target:
        raise UsageError(f"--weights {text!r} must look like BASE=FILE or BASE=hub:REPOSITORY", "name base and weights")
    if base is None:
        hint = registries.hint("base", name)
        raise UsageError(f"--weights {name!r} is not the name of a base", hint or "`transfercli bases list` has them")
    return base, _setting("model.weights", weights_section(source_of(target), folder))


def _setting(key: str, value: Mapping[str, object]) -> str:
    return f"{key}={yaml.safe_dump(dict(value), default_flow_style=True, width=10**6).strip()}"
