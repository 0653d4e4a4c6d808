"""Workflow of `monitor`: drift of recent images, and the accuracy that is expected of the answers to them."""

from __future__ import annotations

from dataclasses import replace

from transfercli.reporting import Reporter
from transfercli.workflows.data.drift import drift_of_outputs
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.monitor.estimator import estimator_of
from transfercli.workflows.monitor.expected_gates import checked_gates, expected_gates
from transfercli.workflows.monitor.model_answers import answered_images
from transfercli.workflows.monitor.page import page_path, write_page
from transfercli.workflows.monitor.recent_answers import Recent, recent_answers
from transfercli.workflows.monitor.request import MonitorRequest
from transfercli.workflows.monitor.result import HeldOut, MonitorResult
from transfercli.workflows.regression import refuse_numbers
from transfercli.workflows.stored_run import StoredRun


def monitor(request: MonitorRequest, reporter: Reporter) -> MonitorResult:
    """Return drift and expected accuracy; a gate that is not met is part of the result, not an error.

    Raises `UsageError` for a run whose images have numbers, for an unknown gate or a page that cannot be written.
    """
    run = StoredRun.find(request.run, request.runs, reporter)
    refuse_numbers(run.config.task, "monitor")
    gates = expected_gates(request.minimums, run.labels, run.config.task, several=run.several)
    page = None if request.report is None else page_path(request.report)
    run.accept_bad(request.max_bad)
    result = monitor_run(run, Recent(request.folder, request.model, request.since, request.until))
    checked = checked_gates(gates, result.expectation.values, run.labels, request.gate_on)
    result = replace(result, gates=checked, gate_on=request.gate_on, report=page)
    for reason in result.reasons:
        reporter.warning(f"the expected accuracy is not to be trusted: {reason}")
    if page is not None:
        write_page(page, result, request)
    return result


def monitor_run(run: StoredRun, recent: Recent) -> MonitorResult:
    """Return drift and expected accuracy of a run on recent images, without gates."""
    run.prepare_data()
    extractor = ImageFeatures(run)
    answers = recent_answers(run, extractor, recent)
    drift = drift_of_outputs(run, extractor, answers.outputs, answers.images) if answers.has_features else None
    found = estimator_of(run, extractor)
    asked = answered_images(run, answers.outputs)
    held_out = HeldOut(len(found.held_out), found.held_out.names, found.held_out.learnt)
    expectation = found.estimator.expect(asked)
    return MonitorResult(
        run.path, run.labels, answers, held_out, drift, expectation, found.estimator.held_out.answers, asked
    )
