"""`transfercli config …` from the outside: exit codes, what goes to stdout and what is not imported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tests.digits import write_folders
from transfercli.cli.commands.config import app, init_config
from transfercli.config.loader import load
from transfercli.errors import DataError, UsageError

Write = Callable[..., Path]

MINIMAL = "name: flowers\ndata: {train: images}\nmodel: {base: small_cnn}\n"
FULL = (
    MINIMAL
    + "augmentation: {preset: light}\nevaluation: {metrics: [accuracy], gates: {ece: '<=0.1'}}\n"
    + "training: {optimizer: {name: sgd}, schedule: {name: cosine}}\nexport: {formats: [keras]}\n"
)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_validate_says_ok_for_every_file(write: Write) -> None:
    files = [write(MINIMAL, "a.yaml"), write(FULL, "b.yaml")]
    found = run("validate", *files)
    assert (found.exit_code, found.stdout) == (0, f"{files[0]}: ok\n{files[1]}: ok\n")


def test_validate_reports_every_error_of_every_file(write: Write) -> None:
    files = [
        write(MINIMAL + "seed: -1\nsede: 1\n", "a.yaml"),
        write(MINIMAL, "b.yaml"),
        write("name: x\nname: y\n", "c.yaml"),
    ]
    found = run("validate", *files)
    assert (found.exit_code, found.stdout) == (3, "")
    for place in (
        f"{files[0]}:4: seed: ",
        f"{files[0]}:5: sede: ",
        f"{files[2]}:2: name: ",
        f"{files[2]}:1: data.train: ",
    ):
        assert place in found.stderr
    assert f"{files[1]}: ok\n" in found.stderr
    assert f"{files[0]}: ok" not in found.stderr


def test_validate_prints_exactly_one_json_object(write: Write) -> None:
    good = run("validate", write(MINIMAL), "--json")
    assert json.loads(good.stdout)["configs"][0]["ok"] is True
    bad = run("validate", write(MINIMAL + "seed: -1\n"), "--json")
    error = json.loads(bad.stdout)["error"]
    assert (bad.exit_code, error["code"], error["kind"]) == (3, 3, "config")
    assert "config.yaml:4: seed" in error["message"]
    assert error["hint"]


def test_show_prints_the_resolved_config_as_yaml_that_loads(write: Write) -> None:
    found = run("show", write(MINIMAL), "--set", "training.epochs=3", "--set", "model.weights=none")
    config = load(write(found.stdout, "again.yaml")).config
    assert (found.exit_code, config.training.epochs, config.transfer.strategy) == (0, 3, "feature_extraction")
    assert config.data.image_size == 32


def test_show_says_which_fractions_are_not_used(write: Write, tmp_path: Path) -> None:
    write(b"", "images/train/cat/1.png")
    write(b"", "images/test/cat/2.png")
    found = run("show", write(MINIMAL))
    assert found.stderr == "data.test: the fraction is not used, images has test images itself\n"
    assert yaml.safe_load(found.stdout)["data"]["test"] == 0.15
    write("path,label,split\n1.png,cat,validation\n", "list.csv")
    table = run("show", write(MINIMAL), "--set", "data.train=list.csv")
    assert table.stderr == "data.validation: the fraction is not used, list.csv has validation images itself\n"
    for quiet in (["data.test=null"], ["data.test=other"], ["data.train=nowhere"], ["data.train=images/train"]):
        assert run("show", write(MINIMAL), "--set", *quiet).stderr == ""


def test_show_for_pretrain_trains_from_scratch(write: Write) -> None:
    found = json.loads(run("show", write(MINIMAL), "--for", "pretrain", "--json").stdout)
    assert (found["transfer"]["strategy"], found["model"]["weights"]) == ("scratch", "none")


def test_show_as_yaml_and_as_json_is_the_same(write: Write) -> None:
    path = write(FULL)
    assert yaml.safe_load(run("show", path).stdout) == json.loads(run("show", path, "--json").stdout)


def test_show_names_a_wrong_set(write: Write) -> None:
    found = run("show", write(MINIMAL), "--set", "training.epoch=3")
    assert found.exit_code == 3
    assert "--set training.epoch=3: training.epoch: is not a known key" in found.stderr


def test_schema_prints_the_json_schema() -> None:
    for arguments in ([], ["--json"]):
        found = run("schema", *arguments)
        assert found.exit_code == 0
        assert json.loads(found.stdout)["$schema"].endswith("2020-12/schema")


def test_init_prints_a_config_or_writes_it_and_never_over_another(tmp_path: Path) -> None:
    printed = run("init", "--base", "vgg16")
    assert (printed.exit_code, yaml.safe_load(printed.stdout)["model"]["base"]) == (0, "vgg16")
    path = tmp_path / "deep" / "mine.yaml"
    assert run("init", "-o", path).stdout == f"wrote {path}\n"
    assert load(path).config.model.base == "resnet50"
    again = run("init", "-o", path, "--json")
    assert (again.exit_code, json.loads(again.stdout)["error"]["kind"]) == (2, "usage")


def test_init_with_json_is_one_object() -> None:
    found = json.loads(run("init", "--json").stdout)
    assert found["path"] is None
    assert yaml.safe_load(found["config"])["name"]


def test_init_with_images_that_are_not_there_is_a_data_error(tmp_path: Path) -> None:
    assert run("init", "--data", tmp_path / "nowhere").exit_code == 4


@pytest.mark.parametrize("arguments", [["show", "x.yaml", "--for", "evaluate"], ["validate"], ["schema", "x"]])
def test_wrong_arguments_are_usage_errors(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


HEAVY = ("keras", "tensorflow", "sklearn", "matplotlib", "scipy", "jax", "torch")
PROBE = """
import sys
from transfercli.cli.app import main
sys.argv = ["transfercli", *sys.argv[1:]]
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


def modules_after(*arguments: object) -> set[str]:
    command = [sys.executable, "-c", PROBE, *map(str, arguments)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    return set(found.stderr.splitlines()[-1].split())


def test_no_config_command_loads_a_framework(write: Write) -> None:
    path = write(FULL)
    for arguments in (["validate", path], ["show", path, "--json"], ["schema"], ["init"]):
        assert not modules_after("config", *arguments).intersection(HEAVY)


def test_help_loads_no_schema() -> None:
    assert not modules_after("config", "--help").intersection({*HEAVY, "transfercli.config.schema", "yaml", "numpy"})


def images(root: Path, **counts: int) -> Path:
    from PIL import Image

    for label, count in counts.items():
        (root / label).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (40, 40), (number, 0, 0)).save(root / label / f"{number}.png")
    return root


def test_an_unknown_keras_set_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(DataError, match="allowed are keras:cifar10") as caught:
        init_config(None, "keras:cifar11", None)
    assert caught.value.hint == "did you mean keras:cifar10?"
    assert "keras:cifar10" in init_config(None, "keras:cifar10", None)["config"]


@pytest.mark.parametrize("count, sides, needed", [(1, (), 3), (2, (), 3), (1, ("validation", "test"), 2)])
def test_a_class_that_training_would_refuse_gets_no_starter(tmp_path: Path, count: int, sides, needed: int) -> None:
    root = tmp_path / "photos"
    images(root / "train" if sides else root, cat=4, dog=count)
    for side in sides:
        images(root / side, cat=1, dog=1)
    output = tmp_path / "c.yaml"
    with pytest.raises(DataError, match=f"'dog' has {count} of the at least {needed} images"):
        init_config(None, str(root), output)
    assert not output.exists()


def test_as_many_images_as_training_needs_are_enough(tmp_path: Path) -> None:
    assert "train: " in init_config(None, str(images(tmp_path / "photos", cat=3, dog=3)), None)["config"]


def draw(folder: Path, counts: dict[str, int], size: tuple[int, int] = (200, 300), mode: str = "RGB") -> Path:
    """Write real digits, enlarged: `counts[label]` images of (height, width) `size` in folder/label."""
    rows = {label: range(count) for label, count in counts.items()}
    return write_folders(folder, rows, size=(size[1], size[0]), mode=mode)


def test_the_path_is_written_relative_to_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path / "data" / "flowers", {"a": 3, "b": 3})
    monkeypatch.chdir(tmp_path)
    init_config(None, "data/flowers", Path("configs/mine.yaml"))
    assert load(Path("configs/mine.yaml")).config.data.train == "../data/flowers"
    assert "# Launch: transfercli finetune configs/mine.yaml\n" in Path("configs/mine.yaml").read_text()
    assert "train: data/flowers" in init_config(None, "data/flowers", None)["config"]


def test_nothing_is_overwritten_and_an_unknown_base_is_named(tmp_path: Path) -> None:
    kept = tmp_path / "kept.yaml"
    kept.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        init_config(None, None, kept)
    assert kept.read_text() == "mine"
    with pytest.raises(UsageError) as caught:
        init_config("ResNet5", None, None)
    assert "did you mean resnet50?" in (caught.value.hint or "")
