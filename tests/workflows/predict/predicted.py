"""Predictions of a run or an artefact."""

from __future__ import annotations

from typing import Any

from transfercli.reporting import Reporter
from transfercli.workflows.predict.predict import Prediction, PredictRequest, predict_images


def said(world: Any, name: Any, paths: list[str], **options: Any) -> list[Prediction]:
    return list(predict_images(PredictRequest(str(name), world.runs, tuple(paths), **options), Reporter()).answers)
