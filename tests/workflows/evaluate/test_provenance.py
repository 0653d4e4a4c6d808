"""The model and the images that an evaluation was made from."""

from __future__ import annotations

import shutil
from pathlib import Path

from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.training.checkpoints import MANIFEST
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run
from transfercli.workflows.evaluate.provenance import fingerprints_of, is_stale, recorded_hashes


def test_an_evaluation_is_as_fresh_with_them_as_without(source) -> None:
    world, result = source
    run = RunFolder(Path(result["run"]))
    for asked in ({"tta": True}, {}):
        evaluate_run(EvaluateRequest(result["run"], world.runs, "validation", **asked), Reporter())
        assert not is_stale(run, "validation")


def test_an_evaluation_is_stale_once_the_model_its_calibration_or_its_images_differ(source, tmp_path: Path) -> None:
    world, result = source
    run = RunFolder(tmp_path / "digits-source" / "copy")
    shutil.copytree(result["run"], run.path, symlinks=True)
    shutil.rmtree(run.evaluations, ignore_errors=True)
    assert is_stale(run, "validation")
    evaluate_run(EvaluateRequest(str(run.path), world.runs, "validation"), Reporter())
    assert not is_stale(run, "validation")
    for path in (run.calibration, run.checkpoints / "best" / MANIFEST):
        whole = path.read_bytes()
        path.write_bytes(whole + b"\n")
        assert is_stale(run, "validation")
        path.write_bytes(whole)
    images = recorded_hashes(run, "validation")
    sha256 = next(iter(images.values()))
    run.dataset.write_text(run.dataset.read_text().replace(sha256, "0" * 64))
    assert is_stale(run, "validation")
    assert fingerprints_of(run, images.items())["model"] == fingerprints_of(run, [])["model"]
