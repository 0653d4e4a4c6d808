"""Whether a run that is started again, or goes on elsewhere, can end with the same bits (`rerun` in run.json)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transfercli.config.schema import ComputeConfig, ExperimentConfig
from transfercli.reporting import Reporter
from transfercli.runs import record
from transfercli.runs.environment import differences, machine, versions

if TYPE_CHECKING:
    from transfercli.workflows.train.job import Job


def facts_of_rerun(config: ExperimentConfig, reporter: Reporter) -> dict[str, Any]:
    """For the record of a new run: what its bits depend on, and why the same config may give others, which is told."""
    reasons = unrepeatable(config)
    for reason in reasons:
        reporter.info(f"a rerun may end with other bits: {reason}")
    return {"versions": versions(), "machine": _machine(config.compute), "rerun": _verdict(reasons)}


def unrepeatable(config: ExperimentConfig) -> list[str]:
    """Why not even the same machine repeats a training to the bit; empty where it does."""
    from transfercli.transfer.strategies import needs_measuring

    reasons = []
    if not config.compute.deterministic:
        reasons.append("compute.deterministic is false")
    if needs_measuring(config):
        reasons.append(
            "transfer.strategy auto plans by the clock (the recorded phases, set as transfer.phases, do not)"
        )
    return reasons


def tell_differences(job: Job, reporter: Reporter) -> None:
    """Before a run goes on: warn of what is not as it was when the run began, and note it."""
    stored = record.RunRecord.read(job.run)
    found = differences(stored.versions, versions())
    found += differences(stored.machine, _machine(job.config.compute))
    if not found:
        return
    reporter.warning(
        f"{job.run.label} goes on, but its result may differ in the last bits from one that was never stopped:"
        f" {'; '.join(found)}"
    )
    reasons = stored.rerun_reasons
    record.update(job.run, rerun=_verdict([*reasons, *(one for one in found if one not in reasons)]))


def _verdict(reasons: list[str]) -> dict[str, Any]:
    return {"identical": not reasons, "because": reasons}


def _machine(compute: ComputeConfig) -> dict[str, Any]:
    from transfercli.training.backend import accelerators, computing_threads

    return machine(computing_threads(compute), accelerators())
