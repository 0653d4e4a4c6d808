"""An experiment with complete runs."""

import json

import pytest

from tests.runs.records import COMPLETED


@pytest.fixture
def experiment(tmp_path):
    """An experiment with four runs that say they are complete."""
    for run_id in ("a", "b", "c", "d"):
        folder = tmp_path / "exp" / run_id
        (folder / "checkpoints" / "epoch-00001").mkdir(parents=True)
        (folder / "checkpoints" / "last").symlink_to("epoch-00001")
        (folder / "run.json").write_text(json.dumps(COMPLETED))
    return tmp_path / "exp"
