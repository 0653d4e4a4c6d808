"""The model card of a real run: every number in it is one of the run's files."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from tests.listener import Listener
from transfercli.export.spec import ExportSpec
from transfercli.models.bases import BASES
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.evaluate.evaluate import EvaluateRequest, evaluate_run
from transfercli.workflows.export.card import current_evaluations, first_weights, licence_id, write_card
from transfercli.workflows.export.export import ExportRunRequest, export_run
from transfercli.workflows.runs.runs import Generation
from transfercli.workflows.stored_run import StoredRun


@pytest.fixture(scope="module")
def carded(source: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, RunFolder, str]:
    """A copy of a run that was evaluated on both splits and exported twice: world, run, and the card's text."""
    world = type(source[0])(tmp_path_factory.mktemp("carded"), source[0].samples)
    trained = Path(source[1]["run"])
    run = RunFolder(world.runs / "digits-source" / trained.name)
    shutil.copytree(trained, run.path, symlinks=True)
    for results in (run.evaluations, run.exports):  # what other tests left in the shared run
        shutil.rmtree(results, ignore_errors=True)
    for split in ("validation", "test"):
        evaluate_run(EvaluateRequest(str(run.path), world.runs, split), Reporter())
    export_run(ExportRunRequest(str(run.path), world.runs, ("keras",)), Reporter())
    result = export_run(ExportRunRequest(str(run.path), world.runs, ("safetensors",)), Reporter()).as_json()
    assert result["card"] == str(run.exports / "README.md")
    return world, run, (run.exports / "README.md").read_text()


def told(run: RunFolder, split: str) -> dict[str, Any]:
    return json.loads((run.evaluation(split) / "metrics.json").read_text())


def test_every_metric_of_the_metadata_is_that_of_the_evaluations(carded: Any) -> None:
    _, run, text = carded
    results = ModelCard(text).data.eval_results
    found = {(one.dataset_split, one.metric_name): one.metric_value for one in results}
    wanted = {
        (split, name): value
        for split in ("test", "validation")
        for name, value in told(run, split)["metrics"].items()
        if value is not None
    }
    assert found == wanted
    assert len(results) == len(wanted) >= 26


def test_every_number_of_the_text_is_that_of_the_evaluations(carded: Any) -> None:
    _, run, text = carded
    assert text.index("### test:") < text.index("### validation:")
    for split in ("test", "validation"):
        part = text.split(f"### {split}:")[1].split("\n## ")[0].split("\n### ")[0].replace("\\", "")
        metrics = told(run, split)
        rows = re.findall(r"^\| (\w+) \| (\d\.\d{4}) \| (?:(\d\.\d{4}) to (\d\.\d{4})|–) \|$", part, re.MULTILINE)
        assert [name for name, *_ in rows] == [name for name, value in metrics["metrics"].items() if value is not None]
        for name, value, *ends in rows:
            assert value == f"{metrics['metrics'][name]:.4f}"
            assert ends == [f"{end:.4f}" for end in metrics["intervals"].get(name, ())] or ends == ["", ""]
        for row in metrics["per_class"]:
            low, high = metrics["intervals"][f"recall[{row['label']}]"]
            line = f"| {row['label']} | {row['support']} | {row['recall']:.4f} | {low:.4f} to {high:.4f} |"
            assert f"{line} {row['precision']:.4f} | {row['f1']:.4f} |" in part
        assert f"temperature {metrics['calibration']['temperature']:.4f}" in part
    assert f"right on **{100 * told(run, 'test')['metrics']['accuracy']:.1f}%** of 178 images" in text


def test_data_cost_and_lineage_are_those_of_the_run(carded: Any) -> None:
    _, run, text = carded
    record = json.loads(run.record.read_text())
    assert record["data"]["fingerprint"] in text
    assert f"**{record['data']['images']['train']}**" in text
    assert f"train {record['seconds']['train']:.1f} s" in text
    assert f"    {record['command']}\n" in text
    assert f"1. {run.label} (pretrain, small\\_cnn)" in text
    assert "The initial weights of the last one are random weights." in text
    assert "license: unknown" in text
    assert json.loads(run.calibration.read_text())["confidence"] is None  # 0.99 is promised by 299 images at least
    assert "No confidence threshold can promise what `evaluation.abstain` asks for" in text
    assert "name: digits-source" in text.split("```yaml")[1]


def test_both_artefacts_are_there_with_lines_that_load_them(carded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world, run, text = carded
    for name in ("keras", "safetensors"):
        card = json.loads((run.exports / name / "export.json").read_text())
        assert f"| {name} | {card['bytes'] / 1e6:.2f} MB | float32 |" in text
    monkeypatch.chdir(run.exports)
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    image = next((world.samples / "digits-source" / "test" / "3").iterdir())
    for block in blocks:
        exec(block, names)
        if "predict" in names:
            assert names["predict"](names["pixels"](image)).shape == (1, 5)


def test_nothing_tells_of_the_machine(carded: Any) -> None:
    world, _, text = carded
    assert str(world.folder) not in text
    assert str(world.samples) not in text
    assert not re.search(r"(?<![\w.…])/(?:home|root|tmp|dev|usr|var)\b", text)


@pytest.fixture
def again(carded: Any, tmp_path: Path) -> Callable[[Reporter], str | None]:
    """Writes the card of the same artefacts anew, in `out`."""
    _, run, _ = carded
    shutil.copytree(run.exports, tmp_path / "out")
    spec = ExportSpec(StoredRun(run).labels, (32, 32), origin={"weights_licence": "none"})
    return lambda reporter: write_card(StoredRun(run, reporter), spec, tmp_path / "out")


def test_what_does_not_speak_of_the_model_as_it_is_is_left_out(carded: Any, again: Any, tmp_path: Path) -> None:
    _, run, _ = carded
    metrics = run.evaluation("test") / "metrics.json"
    before = metrics.read_text()
    metrics.write_text(json.dumps(told(run, "test") | {"made_from": {"model": "another", "images": "others"}}))
    try:
        again(Reporter())
    finally:
        metrics.write_text(before)
    text = (tmp_path / "out" / "README.md").read_text()
    assert {one.dataset_split for one in ModelCard(text).data.eval_results} == {"validation"}


def test_images_that_the_run_learnt_from_come_last(carded: Any) -> None:
    _, run, _ = carded
    metrics = run.evaluation("test") / "metrics.json"
    before = metrics.read_text()
    metrics.write_text(json.dumps(told(run, "test") | {"known": {"train": 3}, "honest_examples": 0}))
    try:
        assert list(current_evaluations(run)) == ["validation", "test"]
    finally:
        metrics.write_text(before)
    assert list(current_evaluations(run)) == ["test", "validation"]


def test_a_readme_of_somebody_else_stays(again: Any, tmp_path: Path) -> None:
    readme = tmp_path / "out" / "README.md"
    readme.write_text("# mine\n")
    listener = Listener()
    assert again(listener) is None
    assert readme.read_text() == "# mine\n"
    assert [text for text in listener.warnings if "README.md was not written by transfercli and stays" in text]
    readme.unlink()
    readme.mkdir()
    assert again(Listener()) is None


def test_a_damaged_evaluation_costs_the_card_and_not_the_artefacts(carded: Any, again: Any, tmp_path: Path) -> None:
    _, run, _ = carded
    metrics, listener = run.evaluation("validation") / "metrics.json", Listener()
    before = metrics.read_text()
    metrics.write_text(json.dumps(told(run, "validation") | {"per_class": "none"}))
    try:
        assert again(listener) is None
    finally:
        metrics.write_text(before)
    assert "metrics.json is damaged: per_class" in listener.warnings[-1]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["keras", "safetensors"]


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"format": "<b>"}, "export.json is damaged: "),
        ({"format": "onnx"}, "export.json is damaged: "),
        ({"bytes": 10**400}, "export.json cannot be read: a number of 401 digits is too large"),
    ],
)
def test_a_stranger_s_artefact_costs_the_card_alone(
    again: Any, tmp_path: Path, wrong: dict[str, Any], said: str
) -> None:
    export, listener = tmp_path / "out" / "keras" / "export.json", Listener()
    export.write_text(json.dumps(json.loads(export.read_text()) | wrong))
    assert again(listener) is None
    assert said in listener.warnings[-1]


def test_no_card_outlives_its_artefacts_nor_tells_of_those_of_another_run(again: Any, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "out" / "keras")
    other = tmp_path / "out" / "safetensors" / "export.json"
    other.write_text(json.dumps(json.loads(other.read_text()) | {"run": "another/run"}))
    assert again(Reporter()) is None
    assert not (tmp_path / "out" / "README.md").exists()


def test_the_card_of_another_run_stays_beside_its_artefacts(carded: Any, again: Any, tmp_path: Path) -> None:
    _, run, text = carded
    readme = tmp_path / "out" / "README.md"
    readme.write_text(text.replace(run.run_id, "another"))
    for name in ("keras", "safetensors"):
        shutil.rmtree(tmp_path / "out" / name)
    assert again(Reporter()) is None
    assert "another" in readme.read_text()


@pytest.mark.parametrize(
    "base, weights, words, licence",
    [
        ("vgg16", "imagenet", "imagenet weights of Keras", "cc-by-4.0"),
        ("resnet50", "imagenet", "imagenet weights of Keras", "mit"),
        ("densenet121", "imagenet", "imagenet weights of Keras", "bsd-3-clause"),
        ("mobilenet", "imagenet", "imagenet weights of Keras", "apache-2.0"),
        ("small_cnn", "none", "random weights", "unknown"),
        ("vgg16", {"path": "/home/ann/w.safetensors", "sha256": None}, "the file w.safetensors", "unknown"),
        ("vgg16", {"run": "a/1", "until": None}, "the run a/1", "unknown"),
        (None, None, "weights of a deleted run", "unknown"),
    ],
)
def test_the_licence_is_that_of_the_first_weights(base: Any, weights: Any, words: str, licence: str) -> None:
    family = [
        Generation("b/2", "completed", base="vgg16", weights={"run": "a/1"}),
        Generation("a/1", "completed", base=base, weights=weights),
    ]
    assert first_weights(family) == words
    assert licence_id(family) == licence


def test_every_published_licence_has_one_of_the_hub_s_names() -> None:
    assert {row.licence_id for row in BASES.values()} == {"apache-2.0", "bsd-3-clause", "cc-by-4.0", "mit", "other"}
