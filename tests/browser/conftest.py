"""A real browser: Debian's Chromium, or the one that `CHROMIUM` names, driven by Playwright. `make test-browser`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tests.digits import all_digits

NAMES = tuple(f"digit {number}" for number in range(10))
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@dataclass
class Visit:
    """An open page, what it logged and what it asked for."""

    page: Any
    file: Path
    logged: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@contextmanager
def on_desktop(browser: Any, file: Path) -> Iterator[Any]:
    """A page of its own, which a test may change."""
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    page.goto(file.as_uri(), wait_until="load")
    yield page
    context.close()


@pytest.fixture(
    scope="session",
    params=["report", "label_report", "comparison", "label_comparison", "comparisons", "sweep", "predicted"],
)
def page_file(request: pytest.FixtureRequest) -> Path:
    """Each page in turn."""
    return request.getfixturevalue(f"{request.param}_file")


@pytest.fixture(
    scope="session",
    params=[(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")],
    ids=["desktop-light", "desktop-dark", "phone-light", "phone-dark"],
)
def visit(request: pytest.FixtureRequest, browser: Any, page_file: Path) -> Iterator[Visit]:
    """Each page, on each screen, in each light."""
    size, scheme = request.param
    context = browser.new_context(viewport=size, color_scheme=scheme)
    found = Visit(context.new_page(), page_file)
    found.page.on("console", lambda message: found.logged.append(message.text))
    found.page.on("pageerror", lambda error: found.logged.append(str(error)))
    found.page.on("request", lambda request: found.asked.append(request.url))
    found.page.goto(page_file.as_uri(), wait_until="load")
    yield found
    context.close()


@pytest.fixture(scope="session")
def driver() -> Iterator[Any]:
    """Playwright, of which a process can have only one."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as found:
        yield found


def launched(driver: Any, *flags: str) -> Any:
    """Return a browser with further flags."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "no Chromium here: install one, or name it in the variable CHROMIUM"
    return driver.chromium.launch(executable_path=program, args=["--no-sandbox", *flags])


@pytest.fixture(scope="session")
def browser(driver: Any) -> Iterator[Any]:
    found = launched(driver)
    yield found
    found.close()


@pytest.fixture(scope="session")
def report_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of everything that one can hold: 1,000 digits, heats, slices, corruptions, failed gates, odd names."""
    from transfercli.evaluation.confidence.trust import confidence_metrics, fit_trust
    from transfercli.evaluation.explain.heatmaps import Explanation
    from transfercli.evaluation.gates import resolve
    from transfercli.evaluation.predictions import Predictions
    from transfercli.evaluation.report.report import ReportContext, render_report
    from transfercli.evaluation.result import evaluate
    from transfercli.evaluation.robustness.corruptions import CORRUPTIONS, SEVERITIES
    from transfercli.evaluation.robustness.score import corruption_summary, score_corruption
    from transfercli.evaluation.robustness.tta import average_views, tta_gain, views
    from transfercli.evaluation.slices import slice_by_thirds

    digits = all_digits()
    order = np.random.default_rng(0).permutation(len(digits.labels))
    train, held, test = order[:300], order[300:700], order[700:1700]
    model = LogisticRegression(C=1e-3, max_iter=1000).fit(digits.features[train], digits.labels[train])
    trust = fit_trust(model.decision_function(digits.features[held]), digits.labels[held], None)
    logits, targets = model.decision_function(digits.features[test]), digits.labels[test]
    assessment = trust.assess(logits)
    paths = tuple(f"test/<b>{digits.labels[i]}</b>/{i:04d}.png" for i in test)
    predictions = Predictions(paths, NAMES, targets, assessment.probabilities.astype("float32"))
    images = digits.rgb(test)
    slices = {"brightness": slice_by_thirds(images.mean(axis=(1, 2, 3)), ("dark", "medium", "bright"), "of 255")}
    evaluation = evaluate(predictions, slices=slices, gates=resolve({}, ["accuracy=0.999", "ece<=0.5"]))

    def said(changed: np.ndarray) -> np.ndarray:
        return trust.assess(model.decision_function(changed[..., 0].reshape(len(changed), -1) / 15.9)).probabilities

    rows = [
        score_corruption(
            predictions, said(row.batch(images, np.arange(1000), severity, 0)).argmax(axis=1), row, severity, (8, 8)
        )
        for row in CORRUPTIONS.values()
        for severity in SEVERITIES
    ]
    evaluation = replace(
        evaluation,
        trust=confidence_metrics(assessment, logits, targets, trust),
        robustness=corruption_summary(predictions, rows, 0),
        tta=tta_gain(
            predictions, average_views(predictions, (said(view(images)) for view in views(True))), views(True), 0
        ),
    )
    heat = np.eye(4, dtype=np.float32)
    lines = [{"epoch": n, "loss": 1 / n, "val_loss": 1.1 / n, "accuracy": 0.5, "val_accuracy": 0.5} for n in (1, 2, 3)]
    context = ReportContext(
        experiment="digits",
        run_id="one",
        split="test",
        config_yaml="name: digits\n",
        versions={"python": "3.11"},
        history=lines,
        thumbnails=lambda indices: images[indices],
        reproduce=["transfercli evaluate digits/one"],
        explained={n: Explanation("Grad-CAM", heat, heat if n % 2 else None, 0.5) for n in range(len(test))},
    )
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_report(evaluation, predictions, context, b"png"), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def label_report_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of several labels: unknown ones, heat maps, confidence of each label, failed gates, odd names."""
    from tests.evaluation.label_models import label_report

    path = tmp_path_factory.mktemp("label-report") / "report.html"
    path.write_text(label_report(), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def label_comparison_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A better challenger, of several labels."""
    from tests.evaluation.label_models import label_comparison
    from transfercli.evaluation.report.compare_page import render_comparisons

    path = tmp_path_factory.mktemp("label-comparison") / "page.html"
    path.write_text(render_comparisons([label_comparison()], "test", "transfercli runs compare a b"), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def comparison_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A better challenger; an image of it is gone, and class names are hostile."""
    from tests.evaluation.comparisons import digit_comparisons
    from transfercli.evaluation.report.compare_page import render_comparisons

    path = tmp_path_factory.mktemp("comparison") / "page.html"
    names = tuple(f"<b>digit {number}</b>" for number in range(10))
    path.write_text(
        render_comparisons(digit_comparisons(names)[1:], "test", "transfercli runs compare a b"), encoding="utf-8"
    )
    return path


@pytest.fixture(scope="session")
def comparisons_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A worse and a better challenger."""
    from tests.evaluation.comparisons import digit_comparisons
    from transfercli.evaluation.report.compare_page import render_comparisons

    path = tmp_path_factory.mktemp("comparisons") / "page.html"
    path.write_text(render_comparisons(digit_comparisons(), "test", "transfercli runs compare a b c"), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def sweep_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of 80 trials over six keys, with hostile names; some trials were pruned or failed."""
    from tests.evaluation.sweeps import AXES, sweep_page
    from transfercli.evaluation.report.search.page import render_sweep_page
    from transfercli.evaluation.statistics.importance import KeyImportance

    importances = [KeyImportance(axis.key, 0.5 / n, (0.4 / n, 0.7 / n), 0.2) for n, axis in enumerate(AXES, 1)]
    path = tmp_path_factory.mktemp("sweep") / "page.html"
    path.write_text(render_sweep_page(sweep_page(importances=importances)), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def predicted_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of predictions with every group: unreadable, abstained from, strange, no label, sets, odd names."""
    from transfercli.evaluation.report.predicted.chosen import ChosenImages
    from transfercli.evaluation.report.predicted.page import PageFacts, images_shown, render_page
    from transfercli.evaluation.report.thumbnails import image_data_url
    from transfercli.workflows.predict.predict import Prediction

    digits, chosen = all_digits(), ChosenImages(NAMES)
    pictures = digits.rgb(np.arange(400))
    for number in range(400):
        name, probability = NAMES[digits.labels[number]], 0.5 + (number * 37 % 100) / 200
        top = ((name, probability), (NAMES[number % 10], 1 - probability))
        unknown, strange = float(number % 50), number % 50 == 49
        doubt = {"abstained": probability < 0.55, "strange": strange, "unknown": unknown, "labels": (name,)}
        chosen.add(Prediction(f"photos/<b>{number:03}</b>.png", top, **doubt))  # type: ignore[arg-type]
    chosen.add(Prediction("photos/none.png", ((NAMES[0], 0.4),), answered=()))
    chosen.add(Prediction("photos/" + "long-name-" * 15 + ".png", error="truncated: image file is truncated"))
    shown = images_shown(chosen)
    addresses = {id(image): image_data_url(pictures[n % 400]) for n, image in enumerate(shown[:-3])}
    facts = PageFacts("digits@champion", "transfercli predict digits@champion photos", "predictions.csv")
    path = tmp_path_factory.mktemp("predicted") / "index.html"
    path.write_text(render_page(chosen, addresses, facts), encoding="utf-8")
    return path
