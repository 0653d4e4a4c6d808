"""The site in a thread of its own, and a run whose evaluation has as many pictures as wanted."""

from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.digits import all_digits


class SiteServer:
    """A site that answers on a free port of this machine until it is stopped."""

    def __init__(self, runs: Path, *, allow_changes: bool = False) -> None:
        import uvicorn

        from transfercli.workflows.ui.app import build_app
        from transfercli.workflows.ui.site import Site

        self.site = Site(runs, allow_changes)
        self.server = uvicorn.Server(uvicorn.Config(build_app(self.site), port=0, log_level="error"))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            self.thread.join(0.01)
        self.address = f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.site.workers.close()


def add_images(run: Path, images: Path, count: int) -> None:
    """Replace the evaluation of a run of digits by one of `count` pictures, which are written and recorded.

    Every seventh prediction is wrong.
    """
    from transfercli.data.dataset import Record
    from transfercli.data.manifest import write_manifest
    from transfercli.evaluation.predictions import Predictions
    from transfercli.io.bounded import read_json

    labels = tuple(read_json(run / "labels.json"))
    digits, draws = all_digits(), np.random.default_rng(0)
    pixels = digits.rgb(np.arange(len(digits.labels)))
    records, targets = [], []
    for number in range(count):
        row = number % len(pixels)
        noisy = np.clip(pixels[row].astype(int) + draws.integers(0, 30, pixels[row].shape), 0, 255).astype(np.uint8)
        content = io.BytesIO()
        Image.fromarray(noisy).save(content, "PNG", compress_level=1)
        target = number % len(labels)
        name = f"many/{labels[target]}/{number:05}.png"
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).write_bytes(content.getvalue())
        side = noisy.shape[0]
        digest = hashlib.sha256(content.getvalue()).hexdigest()
        records.append(Record(name, digest, labels[target], "test", side, side))
        targets.append(target)
    write_manifest(run / "dataset.csv", records)
    values = draws.dirichlet(np.full(len(labels), 0.3), count)
    answers = (np.array(targets) + (np.arange(count) % 7 == 0)) % len(labels)
    highest = values.argmax(axis=1)
    rows = np.arange(count)
    values[rows, highest], values[rows, answers] = values[rows, answers], values[rows, highest]
    paths = tuple(record.path for record in records)
    (run / "evaluation" / "test").mkdir(parents=True, exist_ok=True)
    Predictions(paths, labels, np.array(targets), values).write_csv(run / "evaluation" / "test" / "predictions.csv")


def watched(page: Any) -> list[str]:
    """Return a list that gets everything that a page logs, and its errors."""
    logged: list[str] = []
    page.on("console", lambda message: logged.append(message.text))
    page.on("pageerror", lambda error: logged.append(str(error)))
    return logged
