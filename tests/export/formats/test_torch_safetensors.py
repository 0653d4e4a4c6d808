"""Files for PyTorch: names and layout of torchvision, proved by torchvision itself if it is installed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tests.listener import Listener
from transfercli.config.types import Task
from transfercli.errors import ArtefactError, UsageError
from transfercli.export import exporter
from transfercli.export.exporter import ExportRequest, Reference, export_formats
from transfercli.export.formats import registry
from transfercli.export.formats.registry import FORMATS
from transfercli.export.formats.torch_safetensors import check_network, read_torch_safetensors
from transfercli.export.spec import ExportSpec, LabelDecisions, Network, WriteJob

NAME = "torch_safetensors"
TEMPERATURE = 1.7
FIXTURES = Path(__file__).parents[2] / "models/weights/foreign/fixtures"
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 64, 48, 3)).astype("uint8")
SPEC = ExportSpec(("a", "b", "c"), (64, 48), "stretch", TEMPERATURE)
DECISIONS = LabelDecisions.of(np.array([0.5, 2.0, 1.0]), np.array([0.25, -1.0, 0.0]), np.array([0.3, 0.5, 0.7]))


def network_of(base: str, task: Task = "classify", **head: Any) -> SimpleNamespace:
    """Return a network with random weights and statistics, and its calibrated predictor."""
    import keras

    from transfercli.config.schema import HeadConfig
    from transfercli.models.architecture import Architecture
    from transfercli.models.bases import BASES
    from transfercli.models.classifier import build_classifier
    from transfercli.models.inference_model import build_inference_model
    from transfercli.models.tasks.calibration import Calibration
    from transfercli.models.tensor_names import assign_tensors, read_tensors

    keras.utils.set_random_seed(0)
    labels = SPEC.labels[: 2 if head.get("output") == "sigmoid" else 3]
    shape = Architecture(base, (64, 48), 3, HeadConfig(pooling="avg", **head), labels, task=task)
    classifier = build_classifier(shape)
    generator = np.random.default_rng(0)
    tensors = {
        name: value if value.ndim > 1 else (value + 0.1 * generator.random(value.shape)).astype("float32")
        for name, value in read_tensors(classifier).items()
    }
    assign_tensors(classifier, tensors)
    network = Network(base, BASES[base].preprocessing, 3, "avg", (), tensors)
    calibration = Calibration.of_temperature(TEMPERATURE)
    if task == "multilabel":
        calibration = Calibration(np.array(DECISIONS.scales), np.array(DECISIONS.offsets))
    return SimpleNamespace(network=network, predictor=build_inference_model(classifier, calibration))


@pytest.fixture(scope="module")
def resnet() -> SimpleNamespace:
    return network_of("resnet18")


def write(made: SimpleNamespace, folder: Path, spec: ExportSpec = SPEC) -> Path:
    path = folder / FORMATS[NAME].entry
    FORMATS[NAME].write(WriteJob(made.predictor, spec, path, network=made.network))
    return path


def test_names_shapes_and_types_are_those_of_torchvision(resnet: SimpleNamespace, tmp_path: Path) -> None:
    written = safetensors.numpy.load_file(write(resnet, tmp_path))
    shapes = json.loads((FIXTURES / "torchvision_resnet18.json").read_text())["shapes"]
    expected = {name: tuple(shape) for name, shape in shapes.items() if not name.startswith("fc.")}
    assert {name: value.shape for name, value in written.items()} == expected | {"fc.weight": (3, 512), "fc.bias": (3,)}
    counters = {name for name in written if name.endswith("num_batches_tracked")}
    assert {str(written[name].dtype) for name in counters} == {"int64"}
    assert {str(written[name].dtype) for name in written.keys() - counters} == {"float32"}
    kernel = resnet.network.tensors["base/conv2_block1_1_conv/kernel"]
    assert np.array_equal(written["layer1.0.conv1.weight"][5, 3], kernel[:, :, 3, 5])
    assert np.allclose(written["fc.weight"] * TEMPERATURE, resnet.network.tensors["head/logits/kernel"].T)


def test_the_config_is_in_the_form_of_timm(resnet: SimpleNamespace, tmp_path: Path) -> None:
    config = json.loads(write(resnet, tmp_path, replace(SPEC, resize="crop")).with_name("config.json").read_text())
    assert (config["architecture"], config["num_classes"], config["label_names"]) == ("resnet18", 3, ["a", "b", "c"])
    pixels = config["pretrained_cfg"]
    assert (pixels["mean"], pixels["std"]) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert (pixels["input_size"], pixels["interpolation"], pixels["crop_pct"]) == ([3, 64, 48], "bilinear", 1.0)
    assert (pixels["crop_mode"], pixels["classifier"]) == ("center", "fc")


def test_a_sigmoid_head_is_written_as_two_classes(tmp_path: Path) -> None:
    made = network_of("resnet18", output="sigmoid")
    written = safetensors.numpy.load_file(write(made, tmp_path, replace(SPEC, labels=("a", "b"))))
    assert written["fc.weight"].shape == (2, 512)
    assert not written["fc.weight"][0].any()


@pytest.mark.parametrize(
    "change, message, hint",
    [
        ({"base": "resnet50"}, "resnet50 is Keras's network, which differs", "model.base: resnet50_torch"),
        ({"base": "vgg16"}, "vgg16 is Keras's network, which differs", "model.base: vgg16_torch"),
        (
            {"base": "small_cnn"},
            "small_cnn is not a network of torchvision or timm",
            "bases that are written: resnet18",
        ),
        ({"pooling": "flatten"}, "the head has pooling flatten; torchvision and timm", "pooling: avg, hidden: "),
        ({"hidden": (8,)}, r"pooling avg and hidden layers \[8\]", "choose another format"),
        ({"task": "ordinal"}, "the head computes ordered classes from steps", "onnx or safetensors"),
        ({"channels": 1}, "takes 1 channel, and those of torchvision and timm take three", "onnx or safetensors"),
    ],
)
def test_a_network_that_the_libraries_lack_is_refused(change: dict[str, Any], message: str, hint: str) -> None:
    network = replace(Network("resnet18", "torch", 3, "avg", (), {}), **change)
    with pytest.raises(UsageError, match=f"--format torch_safetensors: .*{message}") as caught:
        check_network(network)
    assert hint in str(caught.value.hint)


def export(made: SimpleNamespace, out: Path, reporter: Any, **options: Any) -> dict[str, Any]:
    probabilities = np.asarray(made.predictor(IMAGES))
    reference = Reference(IMAGES, (), probabilities, probabilities.argmax(1))
    request = ExportRequest((NAME,), out, network=made.network, **options)
    (result,) = export_formats(made.predictor, SPEC, reference, request, {}, reporter)
    return result


def test_several_labels_are_told_by_the_config_and_their_calibration_is_in_the_head(
    resnet: SimpleNamespace, tmp_path: Path
) -> None:
    path = write(resnet, tmp_path, replace(SPEC, temperature=1.0, decisions=DECISIONS, task="multilabel"))
    tensors, config = safetensors.numpy.load_file(path), json.loads(path.with_name("config.json").read_text())
    kernel, bias = (resnet.network.tensors[f"head/logits/{part}"] for part in ("kernel", "bias"))
    assert np.allclose(tensors["fc.weight"], (kernel * [0.5, 2.0, 1.0]).T)
    assert np.allclose(tensors["fc.bias"], bias * [0.5, 2.0, 1.0] + [0.25, -1.0, 0.0])
    assert (config["problem_type"], config["thresholds"]) == ("multi_label_classification", list(DECISIONS.thresholds))
    assert "temperature" not in config


def test_torchvision_computes_the_same_probabilities_of_several_labels(tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("torchvision")
    made = network_of("resnet18", "multilabel")
    (tmp_path / NAME).mkdir()
    path = write(made, tmp_path / NAME, replace(SPEC, temperature=1.0, decisions=DECISIONS, task="multilabel"))
    expected = np.asarray(made.predictor(IMAGES))
    assert np.abs(read_torch_safetensors(path).from_tensors(IMAGES) - expected).max() < 1e-4
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(FORMATS[NAME].code("multilabel"), names)
    assert np.abs(names["predict"](IMAGES) - expected).max() < 1e-4


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: Callable[[str], Any] = lambda name: None if name.startswith("torch") else find_spec(name)  # noqa: E731
    monkeypatch.setattr(registry, "find_spec", missing)


def test_without_pytorch_the_artefact_is_said_to_be_unproved(
    resnet: SimpleNamespace, tmp_path: Path, without_torch: None
) -> None:
    listener = Listener()
    result = export(resnet, tmp_path, listener)
    assert result["proved"] is False
    assert {key for key, value in result.items() if value is None} == {*exporter.MEASURED, "accuracy_exported"}
    assert json.loads((tmp_path / NAME / "export.json").read_text())["proved"] is False
    (warning,) = listener.warnings
    assert "torch_safetensors is not proved: torch and torchvision are not installed" in warning
    with pytest.raises(UsageError, match="--max-drop with --format torch_safetensors needs torch") as caught:
        export(resnet, tmp_path / "other", Listener(), max_drop=0.0)
    assert caught.value.hint == "pip install 'transfercli[torch]'"
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "base",
    ["resnet18", pytest.param("vgg11_bn", marks=pytest.mark.slow), pytest.param("densenet121", marks=pytest.mark.slow)],
)
def test_torchvision_computes_the_same_probabilities(base: str, tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("torchvision")
    made = network_of(base)
    result = export(made, tmp_path, Listener(), max_drop=0.0)
    assert result["proved"] is True
    assert result["max_abs_diff"] < 1e-5
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(FORMATS[NAME].loads, names)
    assert np.abs(names["predict"](IMAGES) - np.asarray(made.predictor(IMAGES))).max() < 1e-5


@pytest.mark.parametrize(
    "change", [{"architecture": "os"}, {"num_classes": True}, {"num_classes": 10**9}, {"pretrained_cfg": {"mean": [1]}}]
)
def test_a_damaged_config_is_refused(resnet: SimpleNamespace, tmp_path: Path, change: dict[str, Any]) -> None:
    pytest.importorskip("torch")
    path = write(resnet, tmp_path)
    config = json.loads(path.with_name("config.json").read_text())
    path.with_name("config.json").write_text(json.dumps(config | change))
    with pytest.raises(ArtefactError, match="is not a config of this program"):
        read_torch_safetensors(path)
