"""`predict` as its users start it, on an ONNX artefact: that takes no TensorFlow, so a process is up in a second."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import keras

    from transfercli.export.formats.registry import FORMATS
    from transfercli.export.spec import ExportSpec, WriteJob

    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3), dtype="uint8", name="image")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    predictor = keras.Model(image, keras.layers.Dense(2, activation="softmax")(pooled))
    place = tmp_path_factory.mktemp("artefact") / "model.onnx"
    FORMATS["onnx"].write(WriteJob(predictor, ExportSpec(("dark", "light"), (32, 32), confidence=None), place))
    return place


def started(artefact: Path, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "transfercli", "predict", str(artefact), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(artefact: Path, *arguments: object) -> tuple[int, str, str]:
    process = started(artefact, *arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out.decode(), err.decode()


def test_a_name_is_answered_while_the_list_is_still_being_written(artefact: Path, digits_folder: Path) -> None:
    files = sorted((digits_folder / "digits" / "test" / "0").glob("*.png"))[:3]
    with started(artefact, "-", "--abstain") as process:
        assert process.stdin
        assert process.stdout
        for file in files:
            process.stdin.write(f"{file}\n".encode())
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
            assert (answer["path"], answer["abstained"]) == (str(file), True)  # it is never sure: confidence is null
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.stderr
        (warning,) = process.stderr.read().decode().splitlines()
        assert warning.startswith("warning: ")
        assert "abstain" in warning
    assert process.returncode == 0


def test_a_reader_that_has_seen_enough_ends_it_quietly(artefact: Path, digits_folder: Path) -> None:
    with started(artefact, digits_folder / "digits", digits_folder / "digits") as process:
        assert process.stdout
        assert process.stderr
        assert json.loads(process.stdout.readline())["top"]
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_all_failed_is_exit_4_with_every_reason_and_one_object_with_json(artefact: Path) -> None:
    code, out, err = ended(artefact, "no.png", "neither.png")
    assert code == 4
    assert [json.loads(line) for line in out.splitlines()] == [
        {"format": 1, "path": "no.png", "error": "does not exist"},
        {"format": 1, "path": "neither.png", "error": "does not exist"},
    ]
    assert "none of 2 images could be read" in err
    code, out, _ = ended(artefact, "no.png", "--json")
    assert code == 4
    told = json.loads(out)
    assert told["error"]["code"] == 4
    assert told["predictions"] == [{"path": "no.png", "error": "does not exist"}]


def test_one_object_with_json_counts_what_failed(artefact: Path, digits_folder: Path) -> None:
    file = next((digits_folder / "digits" / "test" / "0").glob("*.png"))
    code, out, err = ended(artefact, file, "no.png", "--json", "--top", 1)
    told = json.loads(out)
    assert (code, told["images"], told["failed"]) == (0, 2, 1)
    assert told["predictions"][0]["label"] in ("dark", "light")
    assert "1 of 2 images could not be read" in err


@pytest.mark.parametrize("arguments", [(), ("x.png", "--top", "0"), ("x.png", "--format", "xml")])
def test_wrong_usage_is_exit_2(artefact: Path, arguments: tuple[str, ...]) -> None:
    assert ended(artefact, *arguments)[0] == 2


def test_what_names_neither_run_nor_artefact_is_exit_6(tmp_path: Path) -> None:
    code, _, err = ended(tmp_path / "nothing.onnx", "x.png")
    assert code == 6
    assert "no run" in err


def test_a_drop_folder_is_answered_until_ctrl_c(artefact: Path, digits_folder: Path, tmp_path: Path) -> None:
    files = sorted((digits_folder / "digits" / "test" / "0").glob("*.png"))[:2]
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    with started(artefact, files[0], "--watch", inbox) as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["path"] == str(files[0])
        shutil.copy(files[1], inbox / "a.png")
        assert json.loads(process.stdout.readline())["path"] == str(inbox / "a.png")
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == b""
        assert process.stderr
        assert "Traceback" not in process.stderr.read().decode()
    assert process.returncode == 130


def test_a_drop_folder_needs_a_folder_and_no_json(artefact: Path, tmp_path: Path) -> None:
    assert ended(artefact, "--watch", tmp_path / "none")[0] == 4
    assert ended(artefact, "--watch", tmp_path, "--json")[0] == 2
    code, _, told = ended(artefact)
    assert (code, "--watch DIR" in told) == (2, True)


@pytest.mark.parametrize("closed", [">&-", "<&- 2>&-"])
def test_a_standard_file_that_a_shell_closed_is_nothing(artefact: Path, digits_folder: Path, closed: str) -> None:
    file = min((digits_folder / "digits" / "test" / "0").glob("*.png"))
    command = [sys.executable, "-m", "transfercli", "predict", str(artefact), str(file), "-"]
    listed = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command], input=b"", capture_output=True, timeout=120, check=False
    )
    assert listed.returncode == 0
    assert b"Traceback" not in listed.stderr
    assert listed.stdout.count(b'"label"') == (closed != ">&-")


def test_names_that_are_no_text_come_back_as_they_are(artefact: Path, digits_folder: Path, tmp_path: Path) -> None:
    file = sorted((digits_folder / "digits" / "test" / "0").glob("*.png"))[0]
    name = os.fsencode(tmp_path) + b"/\xff.png"
    shutil.copy(os.fsencode(file), name)
    process = started(artefact, tmp_path, "--format", "csv", "--top", "1")
    out, _ = process.communicate(timeout=120)
    assert out.splitlines()[1].split(b",")[0] == name


def on_terminal(artefact: Path, *arguments: object, stdout: int | None = None) -> tuple[int, str, bytes]:
    """Return the exit code, what a terminal of 80 columns shows, and what the pipe `stdout` received."""
    terminal, inner = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    command = [sys.executable, "-m", "transfercli", "predict", str(artefact), *map(str, arguments)]
    process = subprocess.Popen(
        command, stdin=inner, stdout=inner if stdout is None else stdout, stderr=inner, env=environment
    )
    os.close(inner)
    with process:
        piped = process.stdout.read() if process.stdout else b""
        shown = b""
        with suppress(OSError):  # Linux reports the end of a terminal as an error
            while content := os.read(terminal, 65536):
                shown += content
    os.close(terminal)
    return process.returncode, shown.decode().replace("\r\n", "\n"), piped


def test_a_person_at_a_terminal_gets_a_table_and_a_pipe_gets_json_lines(artefact: Path, digits_folder: Path) -> None:
    folder = digits_folder / "digits" / "test" / "0"
    code, shown, _ = on_terminal(artefact, folder, "no.png")
    header, rule, first, *_ = lines = shown.splitlines()
    assert code == 0
    assert header.split() == ["label", "probability", "then", "image"]
    assert set(rule) == {"-", " "}
    assert re.fullmatch(r"(dark|light) +0\.\d{4} +(dark|light) 0\.\d{4} +\S+\.png", first)
    assert {len(line) - len(line.rsplit(maxsplit=1)[-1]) for line in lines[2:5]} == {header.index("image")}
    assert "-  " in shown
    assert "no.png (not read: does not exist)" in shown
    images = len(list(folder.glob("*.png"))) + 1
    assert f"\n{images} images: " in shown
    assert "not read (1)\n" in shown
    code, shown, piped = on_terminal(artefact, folder, stdout=subprocess.PIPE)
    assert (code, len(piped.splitlines())) == (0, images - 1)
    assert all(json.loads(line)["label"] for line in piped.splitlines())
    assert '"label"' in on_terminal(artefact, folder, "--format", "jsonl")[1]


def test_strict_is_exit_4_after_the_results_if_any_image_failed(artefact: Path, digits_folder: Path) -> None:
    file = next((digits_folder / "digits" / "test" / "0").glob("*.png"))
    code, out, err = ended(artefact, file, "no.png", "--strict")
    assert (code, len(out.splitlines())) == (4, 2)
    assert "error: 1 of 2 images could not be read" in err
    code, out, _ = ended(artefact, file, "no.png", "--strict", "--json")
    result = json.loads(out)
    assert (code, result["error"]["code"], result["images"], result["failed"]) == (4, 4, 2, 1)
    assert result["predictions"][0]["label"] in ("dark", "light")
    assert ended(artefact, file, "--strict")[0] == 0
    assert ended(artefact, "--strict", "--watch", file.parent)[0] == 2


def test_csv_for_spreadsheets_has_a_mark_and_no_formula_and_plain_csv_is_as_ever(
    artefact: Path, digits_folder: Path, tmp_path: Path
) -> None:
    image = tmp_path / "=1+2.png"
    shutil.copy(next((digits_folder / "digits" / "test" / "0").glob("*.png")), image)
    command = [sys.executable, "-m", "transfercli", "predict", str(artefact), image.name, "--format", "csv"]
    plain, special = (
        subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, check=True).stdout.decode()
        for more in ((), ("--spreadsheet",))
    )
    assert plain.splitlines()[1].startswith("=1+2.png,")
    assert special == "\ufeff" + plain.replace("=1+2.png", "'=1+2.png").replace("\n", "\r\n")


def test_a_table_for_spreadsheets_is_csv(artefact: Path) -> None:
    code, _, err = ended(artefact, "x.png", "--spreadsheet")
    assert code == 2
    assert "--format csv" in err


def test_the_shards_one_after_another_are_the_whole(artefact: Path, digits_folder: Path, tmp_path: Path) -> None:
    folder = digits_folder / "digits" / "test" / "0"
    (tmp_path / "damaged.png").write_bytes(b"no image")
    given = (folder, tmp_path / "damaged.png", "gone.png", "--format", "csv")
    code, whole, _ = ended(artefact, *given)
    assert code == 0
    shards = [ended(artefact, *given, "--shard", f"{number}/3") for number in (1, 2, 3)]
    assert [code for code, _, _ in shards] == [0, 0, 0]
    joined = "".join(out for _, out, _ in shards)
    assert joined.splitlines()[0] == whole.splitlines()[0]
    assert sorted(joined.splitlines()) == sorted(whole.splitlines())
    sizes = [out.count("\n") - (number == 0) for number, (_, out, _) in enumerate(shards)]
    assert max(sizes) - min(sizes) <= 1


def test_a_shard_without_an_image_is_an_empty_success(artefact: Path, digits_folder: Path) -> None:
    image = min((digits_folder / "digits" / "test" / "0").iterdir())
    assert ended(artefact, image, "--shard", "2/2")[:2] == (0, "")
    code, out, _ = ended(artefact, image, "--shard", "2/2", "--json")
    assert (code, json.loads(out)["shard"], json.loads(out)["images"]) == (0, "2/2", 0)


@pytest.mark.parametrize("shard", ["0/4", "5/4", "1", "a/b", "-1/4"])
def test_what_is_no_shard_is_exit_2_and_says_how_they_are_counted(artefact: Path, shard: str) -> None:
    code, out, err = ended(artefact, "x.png", "--shard", shard)
    assert (code, out) == (2, "")
    assert "counted from 1" in err
