"""The benchmark of an accelerator: its table, and a run to the end on a processor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import cluster_estimate, gpu

ROOT = Path(__file__).parents[1]
FACTS = {"base": "resnet50", "side": 224, "images": 4096, "batch": 256}


def test_the_table_has_shares_of_the_bare_loop_and_reasons_for_empty_cells() -> None:
    def part(work: str, library: str, **result: object) -> dict[str, object]:
        return {"work": work, "library": library, "precision": "bfloat16", "device": "a device", **result}

    results = [
        part("features", "program", images_per_second=9400.0),
        part("features", "bare", images_per_second=10000.0),
        part("features", "torch", reason="No module named 'torch'"),
        part("augmented", "program", images_per_second=2000.0),
        part("training", "bare", images_per_second=2500.0),
    ]
    lines = gpu.markdown(FACTS, results).splitlines()
    assert lines[0].startswith("a device: resnet50 at 224 pixels")
    assert "| features | bfloat16 | 9,400 | 10,000 |  |  | 0.94 |" in lines
    assert "| training, preset medium | bfloat16 | 2,000 | | | | 0.80 |" in lines
    assert lines[-1] == "- features, plain PyTorch, bfloat16: No module named 'torch'"


def test_every_part_is_known_and_what_matters_comes_first() -> None:
    from benchmarks import gpu_parts

    parts = gpu._parts()
    assert all((library, work) in gpu_parts.PARTS for work, library, _ in parts)
    assert len(parts) == len(set(parts)) == 17
    assert parts[:2] == [("features", "program", "bfloat16"), ("features", "bare", "bfloat16")]


def test_more_devices_take_fewer_hours_until_something_else_decides() -> None:
    for estimate in (cluster_estimate.frozen, cluster_estimate.full):
        one, eight, many = (estimate(devices) for devices in (1, 8, 64))
        assert (one.hosts, eight.hosts, many.hosts) == (1, 1, 8)
        assert one.total > eight.total > many.total > 0
        assert one.rate < eight.rate <= 8 * one.rate
    assert cluster_estimate.all_reduce_seconds(1) == 0
    text = cluster_estimate.markdown()
    assert (ROOT / "docs" / "explanation" / "ten-million-images.md").read_text().count(text) == 1


@pytest.mark.slow
def test_the_script_runs_to_its_end_on_a_processor(tmp_path: Path) -> None:
    environment = {**os.environ, "SMOKE": "1", "PYTHON": sys.executable, "SECONDS_IN_ALL": "900"}
    script = ["sh", str(ROOT / "benchmarks" / "gpu.sh"), str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    missing = {(part["library"], part["reason"]) for part in results if "images_per_second" not in part}
    assert {library for library, _ in missing} <= {"torch"}, missing
    assert (tmp_path / "gpu.md").read_text() == done.stdout
