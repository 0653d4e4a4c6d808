"""`predict --report`: the page and the table of a real run, and when they are written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from transfercli.cli.commands.predict import WRITERS
from transfercli.errors import DataError, UsageError
from transfercli.reporting import Reporter
from transfercli.shards import Shard
from transfercli.workflows.predict.outputs import with_outputs
from transfercli.workflows.predict.predict import Prediction, Predictions, PredictRequest, predict_images
from transfercli.workflows.predict.report import report_into


def reported(world: Any, name: Any, paths: list[str], folder: Path, **options: Any) -> Predictions:
    """Predictions that write a report into `folder` once they are read to their end."""
    request = PredictRequest(str(name), world.runs, tuple(paths), **options)
    predictions = predict_images(request, Reporter())
    output = report_into(folder, predictions, request, Reporter(), lambda _: None)
    return with_outputs(predictions, [output])


def lines(predictions: Predictions, kind: str) -> str:
    out = io.StringIO()
    WRITERS[kind](predictions, out)
    return out.getvalue()


def test_the_table_is_that_of_csv_and_the_stream_stays_as_it_is(run: Any, tmp_path: Path) -> None:
    world, folder, files = run
    plain = PredictRequest(str(folder), world.runs, tuple(files))
    written = lines(reported(world, folder, files, tmp_path / "page"), "jsonl")
    assert written == lines(predict_images(plain, Reporter()), "jsonl")
    table = (tmp_path / "page" / "predictions.csv").read_text(encoding="utf-8")
    assert table == lines(predict_images(plain, Reporter()), "csv")
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == ["index.html", "predictions.csv"]


def test_the_page_shows_pictures_and_names_no_folder_of_this_machine(run: Any, tmp_path: Path) -> None:
    world, folder, files = run
    list(reported(world, folder, [*files, "gone.png"], tmp_path / "page", abstain=True, sets=0.9).answers)
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert page.count("<img ") == len(files)
    assert "gone.png" in page
    assert "does not exist" in page
    assert str(Path.home()) + "/" not in page
    assert str(world.folder) not in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_files_are_written_although_no_image_could_be_read(run: Any, tmp_path: Path) -> None:
    world, folder, _ = run
    predictions = reported(world, folder, ["gone.png", "lost.png"], tmp_path / "page")
    with pytest.raises(DataError, match="none of 2 images"):
        list(predictions.answers)
    rows = list(csv.DictReader((tmp_path / "page" / "predictions.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["path"] for row in rows] == ["gone.png", "lost.png"]
    assert "lost.png" in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")


def test_a_stream_that_is_stopped_leaves_the_earlier_files(run: Any, tmp_path: Path) -> None:
    world, folder, files = run
    list(reported(world, folder, files[:3], tmp_path / "page").answers)
    before = {path.name: path.read_bytes() for path in (tmp_path / "page").iterdir()}
    answers = reported(world, folder, files, tmp_path / "page").answers
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert {path.name: path.read_bytes() for path in (tmp_path / "page").iterdir()} == before


def test_shards_write_into_one_folder_and_their_tables_join(run: Any, tmp_path: Path) -> None:
    world, folder, files = run
    for number in (1, 2):
        list(reported(world, folder, files, tmp_path / "page", shard=Shard(number, 2)).answers)
    names = sorted(path.name for path in (tmp_path / "page").iterdir())
    assert names == ["index-1-of-2.html", "index-2-of-2.html", "predictions-1-of-2.csv", "predictions-2-of-2.csv"]
    joined = "".join((tmp_path / "page" / f"predictions-{n}-of-2.csv").read_text(encoding="utf-8") for n in (1, 2))
    rows = list(csv.DictReader(io.StringIO(joined)))
    assert sorted(row["path"] for row in rows) == sorted(files)


def test_an_image_with_several_labels_is_shown_for_each(scenes: Any, tmp_path: Path) -> None:
    world, run = scenes
    images = [str(path) for path in sorted((world.folder / "scenes").glob("*.png"))[:20]]
    answers = list(reported(world, run, images, tmp_path / "page").answers)
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    shown = sum(max(1, len(each.answered or ())) for each in answers)
    assert page.count("<img ") == shown
    assert "without a label" in page


def test_pictures_are_upright_and_keep_their_shape(run: Any, tmp_path: Path) -> None:
    from PIL import Image

    from transfercli.data.decoding.pictures import file_pictures

    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.new("RGB", (400, 100), "red").save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGB", (20, 10), "blue").save(tmp_path / "small.png")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG")
    names = [str(tmp_path / name) for name in ("turned.jpg", "small.png", "bad.png")]
    turned, small, bad = file_pictures(names, 128)
    assert turned is not None
    assert turned.shape[:2] == (128, 32)
    assert small is not None
    assert small.shape == (10, 20, 3)
    assert bad is None


def test_a_folder_that_cannot_be_written_is_refused_before_an_image_is_read(run: Any, tmp_path: Path) -> None:
    world, folder, files = run
    (tmp_path / "page").write_text("a file", encoding="utf-8")
    with pytest.raises(UsageError, match="--report"):
        reported(world, folder, files, tmp_path / "page")


def test_an_output_gets_each_prediction_before_it_is_passed_on() -> None:
    taken: list[str] = []

    class Output:
        def __enter__(self) -> Any:
            return lambda prediction: taken.append(prediction.path)

        def __exit__(self, *error: object) -> None:
            taken.append("end")

    def answers() -> Iterator[Prediction]:
        yield from (Prediction(name, error="x") for name in "ab")

    passed = with_outputs(Predictions(("a", "b"), 2, answers()), [Output()]).answers
    seen = [(prediction.path, list(taken)) for prediction in passed]
    assert seen == [("a", ["a"]), ("b", ["a", "b"])]
    assert taken == ["a", "b", "end"]


@pytest.mark.parametrize("inside", [".", "page"])
@pytest.mark.parametrize("option", ["paths", "watch"])
def test_a_folder_of_images_gets_no_page(tmp_path: Path, inside: str, option: str) -> None:
    predictions = Predictions(("cat", "dog"), 2, iter(()))
    request = PredictRequest("run", Path("runs"), (str(tmp_path),) if option == "paths" else ())
    if option == "watch":
        request = replace(request, watch=tmp_path)
    with pytest.raises(UsageError, match="whose images are predicted"):
        report_into(tmp_path / inside, predictions, request, Reporter(), print)
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize("name", ["index.html", "predictions.csv"])
def test_a_file_that_no_such_page_wrote_is_never_replaced(run: Any, tmp_path: Path, name: str) -> None:
    world, folder, files = run
    (tmp_path / name).write_text("of somebody else")
    with pytest.raises(UsageError, match="is no file of such a page"):
        reported(world, folder, files, tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "of somebody else")]


def test_a_page_of_the_same_kind_is_replaced(run: Any, tmp_path: Path) -> None:
    world, folder, files = run
    for part in (files, files[:1]):
        list(reported(world, folder, part, tmp_path / "page").answers)
    assert len((tmp_path / "page" / "predictions.csv").read_text().splitlines()) == 2


def test_the_predictions_of_an_evaluation_are_never_replaced(run: Any, tmp_path: Path) -> None:
    world, folder, files = run
    evaluation = tmp_path / "run" / "evaluation" / "test"
    evaluation.mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(UsageError, match="is in the folder of the run"):
        reported(world, folder, files, evaluation)
