"""The trigger `retrain.when: expected`: a training starts once the champion's answers are expected to be too bad."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from transfercli.config.paths import absolute_path
from transfercli.errors import ArtefactError, ConfigError, DataError, UsageError
from transfercli.runs.decisions import Decision
from transfercli.text import counted, decimal
from transfercli.workflows.retrain.state import RetrainState
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.config.schema import ExperimentConfig
    from transfercli.evaluation.gates import Gate

_KEY = "retrain.monitor.min_expected"


def check_monitor(config: ExperimentConfig) -> None:
    """Raise `ConfigError` for a bound on a metric that cannot be expected without labels."""
    if config.retrain.monitor is None:
        return
    try:
        _gates(config, ())
    except UsageError as error:
        raise ConfigError(f"{_KEY}: {error.message}", error.hint) from error


def add_expected(state: RetrainState) -> RetrainState:
    """Return the state with what is expected of the champion's answers to recent images, if it is needed.

    Without any answer of the champion in a log, as after its promotion, nothing is expected yet.
    """
    from transfercli.workflows.monitor.expected_gates import checked_gates
    from transfercli.workflows.monitor.monitor import monitor_run
    from transfercli.workflows.monitor.recent_answers import Recent, has_answers

    settings = state.config.retrain.monitor
    if settings is None or state.champion is None or not state.needs_expected:
        return state
    # A handle of its own: the champion's network is freed before the challenger trains.
    champion = StoredRun(state.champion.folder, state.champion.reporter)
    recent = Recent(absolute_path(settings.recent))
    with _named_key():
        if not has_answers(champion, recent):
            return state
        result = monitor_run(champion, recent)
    gates = checked_gates(_gates(state.config, champion.labels), result.expectation.values, champion.labels, "point")
    values = result.named_values()
    facts: dict[str, Any] = {
        "images": result.recent.images,
        "metrics": {
            gate["metric"]: {
                "value": gate["value"],
                "interval": list(values[gate["metric"]].interval or ()) or None,
                "reference": values[gate["metric"]].reference,
            }
            for gate in gates
        },
        "gates": gates,
        "trusted": result.trusted,
        "reasons": result.reasons,
    }
    return replace(state, expected=facts)


def decide_if_as_expected(state: RetrainState) -> Decision | None:
    """Return the decision "unchanged" if only a low expectation starts a training and there is none, else None."""
    if not state.needs_expected:
        return None
    from transfercli.workflows.monitor.result import FEW_RECENT

    if state.expected is None:
        return state.decision("unchanged", "the log has no answers of the champion yet, so nothing is expected of them")
    if state.expected["images"] < FEW_RECENT:
        reason = f"there are only {counted(state.expected['images'], 'recent image')}, and {FEW_RECENT} say a little"
        return state.decision("unchanged", reason, **state.watch.measured(None))
    if not all(gate["passed"] for gate in state.expected["gates"]):
        return None
    values = ", ".join(
        f"{gate['metric']} {decimal(gate['value'])}, not below {gate['bound']:g}" for gate in state.expected["gates"]
    )
    doubt = "" if state.expected["trusted"] else f"; not to be trusted: {'; '.join(state.expected['reasons'])}"
    images = counted(state.expected["images"], "recent image")
    reason = f"expected of the champion on {images}: {values}{doubt}"
    return state.decision("unchanged", reason, **state.watch.measured(None))


@contextmanager
def _named_key() -> Iterator[None]:
    """Add the key of the config to an error: a scheduled job has no command line that names the folder."""
    try:
        yield
    except (DataError, UsageError, ArtefactError) as error:
        error.message = f"retrain.monitor: {error.message}"
        error.args = (error.message,)
        raise


def _gates(config: ExperimentConfig, labels: tuple[str, ...]) -> list[Gate]:
    """Return the gates of `retrain.monitor`; without labels, class names are not checked."""
    from transfercli.config.types import MULTILABEL
    from transfercli.workflows.monitor.expected_gates import expected_gates

    assert config.retrain.monitor is not None
    texts = [f"{name}>={bound!r}" for name, bound in config.retrain.monitor.min_expected.items()]
    return expected_gates(texts, labels, config.task, several=config.task == MULTILABEL)
