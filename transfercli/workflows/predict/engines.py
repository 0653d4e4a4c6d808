"""Engines of `predict`, one a row: this process, or a cluster."""

from __future__ import annotations

from transfercli.workflows.predict.predict import Engine, predict_here
from transfercli.workflows.predict.ray_engine import predict_on_ray

ENGINES: dict[str, Engine] = {"local": predict_here, "ray": predict_on_ray}
