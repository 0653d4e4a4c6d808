"""`data next` on runs that really trained: a frozen base with few labels, and a base that was trained."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.listener import Listener
from tests.object_server import BUCKET, fresh_object_server
from tests.workflows.conftest import World
from transfercli.cli.app import app
from transfercli.config.schema import DataConfig
from transfercli.data.sources.listing import list_images
from transfercli.errors import ArtefactError, DataError, UsageError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.data.next import NextRequest, NextResult, data_next
from transfercli.workflows.stored_run import StoredRun


@pytest.fixture(scope="module")
def probed(source: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path]:
    """A linear probe of digits 5-9 with 8 images a class, on the base of `source`; and a pool of 60 other images."""
    world = World(tmp_path_factory.mktemp("probed"), source[0].samples)
    images = world.folder / "labelled"
    pool = world.folder / "pool"
    pool.mkdir()
    for digit in "56789":
        files = sorted((world.samples / "digits-target" / "train" / digit).iterdir())
        (images / digit).mkdir(parents=True)
        for file in files[:8]:
            shutil.copy(file, images / digit)
        for file in files[10:22]:
            shutil.copy(file, pool)
    weights = {"run": str(Path(source[1]["run"]).resolve())}
    model = {"weights": weights, "head": {"init": "new"}}
    data = {"train": str(images), "validation": 0.25, "test": None}
    config = world.config("probe", "", data=data, model=model, transfer={"strategy": "linear_probe"})
    world.train("finetune", config)
    return world, pool


@pytest.fixture
def pool(probed: tuple[World, Path], tmp_path: Path) -> Path:
    """A copy of the pool, to change."""
    return Path(shutil.copytree(probed[1], tmp_path / "pool"))


def chosen_by(
    probed: tuple[World, Path], folder: Path, out: Path, budget: int = 10, reporter: Reporter | None = None, **more: Any
) -> NextResult:
    request = NextRequest("probe", folder, probed[0].runs, budget, out=out, **more)
    return data_next(request, reporter or Reporter())


def test_images_are_chosen_and_a_gain_is_forecast(probed: Any, pool: Path, tmp_path: Path) -> None:
    result = chosen_by(probed, pool, tmp_path / "out", target=0.99).as_json()
    assert list(result) == [
        "run", "images", "left_out", "labels", "budget", "by", "chosen", "forecast", "out", "links"
    ]  # fmt: skip
    assert (result["images"], result["labels"], result["budget"], result["by"]) == (60, 40, 10, "diverse_margin")
    assert [image["rank"] for image in result["chosen"]] == list(range(1, 11))
    assert all(Path(image["path"]).is_file() and image["guess"] in "56789" for image in result["chosen"])
    forecast = result["forecast"]
    assert [gain["labels"] for gain in forecast["gains"]] == [5, 10, 20, 50]
    low, high = forecast["gain"]["interval"]
    assert low <= forecast["gain"]["gain"] <= high
    assert forecast["target"]["accuracy"] == 0.99
    assert len(forecast["curve"]) > 2
    json.dumps(result, allow_nan=False)


def test_the_same_command_chooses_the_same_images(probed: Any, pool: Path, tmp_path: Path) -> None:
    first, second = (chosen_by(probed, pool, tmp_path / name) for name in ("one", "two"))
    assert first.chosen == second.chosen
    assert first.forecast == second.forecast


def test_known_images_and_copies_are_not_chosen(probed: Any, pool: Path, tmp_path: Path) -> None:
    for number, file in enumerate(sorted((probed[0].folder / "labelled" / "5").iterdir())[:4]):
        shutil.copy(file, pool / f"known-{number}.png")
    original = min(path for path in pool.iterdir() if path.name.startswith("0"))
    shutil.copy(original, pool / "again.png")
    with Image.open(original) as image:
        image.convert("RGB").save(pool / "resaved.png", compress_level=1)
    result = chosen_by(probed, pool, tmp_path / "out", 1000)
    names = {image.path for image in result.chosen}
    assert result.left_out["known"] == 4
    assert not any(name.startswith("known") for name in names)
    assert len(names & {original.name, "again.png", "resaved.png"}) == 1
    assert len(result.chosen) + result.left_out["copies"] == 66 - 4


def test_files_are_a_table_a_page_and_folders_that_training_reads(probed: Any, pool: Path, tmp_path: Path) -> None:
    (pool / "ünïcödé näme, 1.png").write_bytes(next(iter(pool.iterdir())).read_bytes() + b" ")
    out = tmp_path / "here" / "out"
    result = chosen_by(probed, pool, out, 100)
    with (out / "next.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == [str(image.rank) for image in result.chosen]
    assert all((out / row["path"]).is_file() and row["label"] == "" for row in rows)
    links = [path for path in (out / "to-sort").rglob("*") if path.is_symlink()]
    assert len(links) == len(rows)
    assert not any(link.readlink().is_absolute() for link in links)
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count("<img ") == len(rows)
    assert "http" not in page.replace("http-equiv", "")
    assert str(tmp_path) not in page

    wrong = links[0]
    right = out / "to-sort" / ("9" if wrong.parent.name != "9" else "8")
    right.mkdir(exist_ok=True)
    wrong.rename(right / wrong.name)  # sorted by hand
    listing = list_images(DataConfig(train=str(out / "to-sort")), Reporter())
    assert len(listing.items) == len(rows)

    for row in rows:
        row["label"] = row["guess"]
    with (out / "next.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    items = list_images(DataConfig(train=str(out / "next.csv")), Reporter()).items
    assert {Path(item.file).resolve() for item in items} == {(pool / image.path).resolve() for image in result.chosen}


def test_images_are_copied_if_links_are_impossible(
    probed: Any, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    reporter = Listener()
    result = chosen_by(probed, pool, tmp_path / "out", 5, reporter)
    files = list((tmp_path / "out" / "to-sort").rglob("*.png"))
    assert [path.is_symlink() for path in files] == [False] * 5
    assert result.as_json()["links"] is False
    assert any("were copied" in text for text in reporter.warnings)


def test_sorted_images_are_never_overwritten(probed: Any, pool: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        chosen_by(probed, pool, out)
    with pytest.raises(UsageError, match="lies in the folder of images"):
        chosen_by(probed, pool, pool / "out")
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    assert not (pool / "out").exists()


def test_without_out_each_call_writes_a_new_folder(
    probed: Any, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        result = data_next(NextRequest("probe", pool, probed[0].runs, 3), Reporter())
        assert result.out == Path("labelling", f"probe-{number}")
        assert (result.out / "index.html").is_file()


@pytest.mark.parametrize("kept", [1, 2])
def test_one_image_is_chosen_and_a_larger_budget_is_told(probed: Any, pool: Path, tmp_path: Path, kept: int) -> None:
    for file in sorted(pool.iterdir())[kept:]:
        file.unlink()
    reporter = Listener()
    assert len(chosen_by(probed, pool, tmp_path / "out", 5, reporter).chosen) == kept
    assert any("--budget is 5" in text for text in reporter.warnings)


def test_unreadable_images_are_counted_and_nothing_new_is_an_error(probed: Any, pool: Path, tmp_path: Path) -> None:
    (pool / "junk.png").write_text("junk")
    result = chosen_by(probed, pool, tmp_path / "out", 3, max_bad=0.5)
    assert result.left_out["unreadable"] == 1
    with pytest.raises(DataError, match="--max-bad"):
        chosen_by(probed, pool, tmp_path / "other", 3)
    with pytest.raises(DataError, match="left to label"):
        chosen_by(probed, probed[0].folder / "labelled", tmp_path / "other")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images"):
        chosen_by(probed, tmp_path / "empty", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_labelled_images_that_are_gone_cost_the_forecast_only(
    probed: Any, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "transfercli.workflows.data.labelled_images.remaining_splits", lambda *_: ([], {"a": "its file is gone"})
    )
    reporter = Listener()
    result = chosen_by(probed, pool, tmp_path / "out", 4, reporter)
    assert len(result.chosen) == 4
    assert result.as_json()["forecast"]["gain"] is None
    assert "is no forecast" in result.forecast.note
    assert any("are gone or changed" in text for text in reporter.warnings)


def test_a_trained_base_is_forecast_from_its_validation_images(source: Any, recent: Path, tmp_path: Path) -> None:
    world, _ = source
    for digit in ("5", "6"):  # digits that the run does not know
        for file in sorted((world.samples / "digits-target" / "train" / digit).iterdir())[:10]:
            shutil.copy(file, recent)
    result = data_next(NextRequest("digits-source", recent, world.runs, 8, out=tmp_path / "out"), Reporter())
    assert result.left_out["known"] == 89  # the test images of the run
    assert len(result.chosen) == 8
    assert "base was trained" in result.forecast.note
    assert result.forecast.gain is not None
    assert result.forecast.gain.low < result.forecast.gain.high


def test_features_of_all_layers_are_what_the_head_reads(probed: Any) -> None:
    run = StoredRun(RunFolder((probed[0].runs / "probe" / "latest").resolve()))
    split = run.split("train")
    layers = ImageFeatures(run).layers(split)
    assert layers.features.shape == (len(split), sum(layers.widths))
    np.testing.assert_allclose(layers.probabilities, run.probabilities(split), atol=1e-5)


def test_the_command_prints_tables_json_and_usage_errors(
    probed: Any, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = ["--runs", str(probed[0].runs)]
    shown = CliRunner().invoke(app, ["data", "next", "probe", "pool", "--budget", "4", "--quiet", *runs])
    assert shown.exit_code == 0, shown.output
    assert "4 more labels: +" in shown.output
    assert "labelling/probe-1" in shown.output
    printed = CliRunner().invoke(app, ["data", "next", "probe", "pool", "--budget", "4", "--json", *runs])
    result = json.loads(printed.stdout)
    assert (next(iter(result)), len(result["chosen"])) == ("format", 4)
    for arguments in (["--budget", "0"], ["--budget", "-3"], ["--budget", "2", "--by", "magic"], [], ["--budget", "x"]):
        assert CliRunner().invoke(app, ["data", "next", "probe", "pool", *arguments, *runs]).exit_code == 2
    bad = ["--budget", "2", "--target", "accuracy=2"]
    assert CliRunner().invoke(app, ["data", "next", "probe", "pool", *bad, *runs]).exit_code == 2


def test_an_artefact_is_refused_with_the_advice_to_name_its_run(probed: Any, pool: Path, tmp_path: Path) -> None:
    (tmp_path / "saved_model").mkdir()
    (tmp_path / "saved_model" / "export.json").write_text('{"format": "saved_model"}')
    request = NextRequest(str(tmp_path / "saved_model"), pool, probed[0].runs, 3)
    with pytest.raises(ArtefactError, match="exported model") as caught:
        data_next(request, Reporter())
    assert "name the run" in (caught.value.hint or "")


def test_images_at_an_address_are_chosen_as_on_disk_and_copied_for_sorting(
    probed: tuple[World, Path], pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = chosen_by(probed, pool, tmp_path / "local", 4)
    with fresh_object_server(monkeypatch.setenv) as server:
        server.upload(pool, "pool/")
        address = f"s3://{BUCKET}/pool"
        remote = chosen_by(probed, Path(address), tmp_path / "remote", 4)
    assert [image.path for image in remote.chosen] == [image.path for image in local.chosen]
    assert remote.as_json()["chosen"][0]["path"] == f"{address}/{local.chosen[0].path}"
    with (tmp_path / "remote/next.csv").open(encoding="utf-8") as file:
        assert [row["path"] for row in csv.DictReader(file)] == [f"{address}/{one.path}" for one in local.chosen]
    copies = sorted(path for path in (tmp_path / "remote/to-sort").rglob("*") if path.is_file())
    assert {path.read_bytes() for path in copies} == {(pool / one.path).read_bytes() for one in local.chosen}
    assert not any(path.is_symlink() for path in copies)
