"""Nights of one experiment, on real digits."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.listener import Listener
from transfercli.runs import decisions
from transfercli.runs.lookup import find_run


@dataclass
class Nights:
    """A folder of images that changes from night to night, and the config of `retrain`."""

    images: Path
    samples: Path
    config: Path
    runs: Path
    reporter: Listener = field(default_factory=Listener)

    def add(self, label: str, first: int, last: int, source: str = "") -> None:
        """Digits number `first` to `last` of a class, as they are sorted."""
        place = self.images / label
        place.mkdir(parents=True, exist_ok=True)
        for image in sorted((self.samples / "digits-target" / "train" / (source or label)).iterdir())[first:last]:
            shutil.copy(image, place / image.name)

    def night(self, **more: Any) -> dict[str, Any]:
        from transfercli.workflows.retrain.results import Rejected
        from transfercli.workflows.retrain.retrain import retrain
        from transfercli.workflows.retrain.state import RetrainRequest

        try:
            return retrain(RetrainRequest(self.config, self.runs, **more), self.reporter).as_json()
        except Rejected as rejected:
            return rejected.result.as_json()

    @property
    def experiment(self) -> Path:
        return self.runs / "nightly"

    @property
    def words(self) -> list[str]:
        return [one.decision for one in decisions.read(self.experiment)]


def write_config(nights: Nights, base: str, **more: Any) -> None:
    import yaml

    config = {
        "name": "nightly",
        "data": {"train": "images", "validation": 0.2, "test": 0.3, "image_size": 32},
        "model": {"base": "small_cnn", "weights": {"run": str(Path(base).resolve())}},
        "transfer": {"strategy": "linear_probe"},
        "compute": {"cache_dir": "cache"},
        **more,
    }
    nights.config.write_text(yaml.safe_dump(config))


def fails_with(error: Exception) -> Any:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


def load(nights: Nights, run: str) -> Any:
    from transfercli.workflows.stored_run import StoredRun

    return StoredRun(find_run(run, nights.runs))


def write_table(nights: Nights) -> dict[str, str]:
    """A table beside the images, and who is said to have written each: a file's name -> one of 15."""
    files = sorted(nights.images.glob("*/*.png"))
    writers = {file.name: f"w{sum(file.name.encode()) % 15}" for file in files}
    rows = [f"{file.parent.name}/{file.name},{file.parent.name},{writers[file.name]}" for file in files]
    (nights.images / "table.csv").write_text("\n".join(["path,label,writer", *rows]) + "\n")
    return writers
