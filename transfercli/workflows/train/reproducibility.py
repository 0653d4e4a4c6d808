"""Bitwise reproducibility of a run that is repeated or resumed elsewhere (`rerun` in run.json)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transfercli.config.schema import ComputeConfig, ExperimentConfig
from transfercli.reporting import Reporter
from transfercli.runs import record
from transfercli.runs.environment import differences, machine, versions

if TYPE_CHECKING:
    from transfercli.workflows.train.job import Job


def reproducibility_facts(config: ExperimentConfig, reporter: Reporter) -> dict[str, Any]:
    """Return versions, machine and reproducibility for the record of a new run; report why a rerun may differ."""
    reasons = nondeterminism_reasons(config)
    for reason in reasons:
        reporter.info(f"a rerun may not end with the same bits: {reason}")
    return {"versions": versions(), "machine": _machine(config.compute), "rerun": _rerun(reasons)}


def nondeterminism_reasons(config: ExperimentConfig) -> list[str]:
    """Return why two trainings on the same machine may differ in their bits; empty if they do not."""
    from transfercli.transfer.strategies import needs_measuring

    reasons = []
    if not config.compute.deterministic:
        reasons.append("compute.deterministic is false")
    if needs_measuring(config) and not isinstance(config.transfer.budget, str):
        reasons.append("transfer.budget in seconds depends on measured times (a multiple such as 3x does not)")
    return reasons


def warn_of_environment_changes(job: Job, reporter: Reporter) -> None:
    """Warn if versions or machine changed since a run began that is now resumed, and record the changes."""
    stored = record.RunRecord.read(job.run)
    changes = differences(stored.versions, versions())
    changes += differences(stored.machine, _machine(job.config.compute))
    if not changes:
        return
    much = "" if any(change.startswith("devices_per_batch") for change in changes) else " in the last bits"
    reporter.warning(
        f"{job.run.label} is resumed, but its result may differ{much} from that of an uninterrupted run:"
        f" {'; '.join(changes)}"
    )
    reasons = stored.rerun_reasons
    record.update(job.run, rerun=_rerun([*reasons, *(change for change in changes if change not in reasons)]))


def _rerun(reasons: list[str]) -> dict[str, Any]:
    return {"identical": not reasons, "because": reasons}


def _machine(compute: ComputeConfig) -> dict[str, Any]:
    from transfercli.training.backend import computing_threads
    from transfercli.training.devices import accelerators
    from transfercli.training.distribution.processes import processes

    facts = machine(computing_threads(compute), accelerators())
    if compute.distribution != "none":
        facts["devices_per_batch"] = processes().devices
    return facts
