"""The program as its users start it: other processes, exit codes, stdout and stderr."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


def transfercli(*arguments: object, folder: Path, check: int | None = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "transfercli", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert check is None or done.returncode == check, done.stderr
    return done


CONFIG = """\
name: {name}
data: {{train: data, image_size: 32}}
model: {{base: small_cnn, weights: none}}
training: {{epochs: {epochs}}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    transfercli("sample", "digits-target", "data", folder=folder)
    (folder / "t.yaml").write_text(CONFIG.format(name="t", epochs=2))
    (folder / "long.yaml").write_text(CONFIG.format(name="long", epochs=100000))
    return folder


def test_the_main_job(place: Path) -> None:
    trained = transfercli("pretrain", "t.yaml", "--json", "--set", "training.epochs=4", folder=place)
    result = json.loads(trained.stdout)
    assert result["run"].startswith("runs/t/")
    assert result["status"] == "completed"
    epochs = [line for line in trained.stderr.splitlines() if line.startswith("epoch ")]
    assert len(epochs) == 4
    logged = (place / result["run"] / "log.txt").read_text().splitlines()
    assert [line for line in logged if line.startswith("epoch ")] == epochs
    assert logged == [line for line in trained.stderr.splitlines() if line in logged]
    evaluated = transfercli("evaluate", "t", "--json", "--min", "accuracy=1.0", folder=place, check=5)
    assert json.loads(evaluated.stdout)["gates"][0]["passed"] is False
    assert "1 of 1 gates not met" in evaluated.stderr
    person = transfercli("evaluate", result["run"], "--quiet", folder=place)
    assert "precision" in person.stdout
    assert person.stderr == ""
    exported = transfercli("export", "t", "--format", "keras", "--json", folder=place)
    assert json.loads(exported.stdout)["artefacts"][0]["label_agreement"] == 1


@pytest.mark.parametrize(
    "arguments, code, kind",
    [
        (("finetune", "t.yaml", "--set", "data.train=gone", "--json"), 4, "data"),
        (("finetune", "t.yaml", "--set", "model.base=vgg61", "--json"), 3, "config"),
        (("finetune", "gone.yaml", "--json"), 3, "config"),
        (("finetune", "--json"), 2, "usage"),
        (("finetune", "t.yaml", "--run-id", "a/b", "--json"), 2, "usage"),
        (("finetune", "--no-such-option", "--json"), 2, "usage"),
        (("evaluate", "nobody", "--json"), 6, "artefact"),
        (("finetune", "t.yaml", "--set", "model.weights={path: gone.h5}", "--json"), 7, "weights"),
    ],
)
def test_a_failure_is_one_message_and_one_json_object(arguments, code: int, kind: str, place: Path) -> None:
    done = transfercli(*arguments, folder=place, check=code)
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["kind"]) == (code, kind)
    assert error["message"]
    assert "Traceback" not in done.stderr


def test_sigterm_stops_at_a_checkpoint_and_says_how_to_go_on(place: Path) -> None:
    command = [sys.executable, "-m", "transfercli", "pretrain", "long.yaml", "--run-id", "night"]
    with subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch 2/"):
                break
        busy = transfercli("pretrain", "long.yaml", folder=place, check=75)
        assert "since 20" in busy.stderr
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert process.returncode == 143
    assert "--resume long/night" in rest
    assert json.loads((place / "runs/long/night/run.json").read_text())["status"] == "interrupted"
    assert (place / "runs/long/night/checkpoints/last/manifest.json").is_file()


def test_help_comes_up_without_keras() -> None:
    code = (
        "import sys; sys.argv = ['transfercli', '--help']\n"
        "from transfercli.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert not {'keras', 'tensorflow', 'sklearn', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=os.environ)
