from __future__ import annotations

import io
import math
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from transfercli.evaluation.report import plots
from transfercli.io import atomic

HOSTILE = ("$\\frac{", "$x_{1}$", "<b>&", "two\nlines", "日本語", "a" * 300, "", "nul\x00", "\u202eleft", "\udce9")
LINES: list[dict[str, Any]] = [
    {"phase": "head", "epoch": 1, "loss": 1.0, "accuracy": 0.5, "val_loss": 1.1, "val_accuracy": 0.4},
    {"phase": "head", "epoch": 2, "loss": 0.7, "accuracy": 0.7, "val_loss": 0.6, "val_accuracy": 0.6},
    {"phase": "all", "epoch": 3, "loss": 0.5, "accuracy": 0.8, "val_loss": 0.6, "val_accuracy": 0.7},
    {"phase": "all", "epoch": 4, "loss": 0.4, "accuracy": 0.9, "val_loss": 0.8, "val_accuracy": None},
]


def _picture(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


@pytest.mark.parametrize("classes", [1, 2, 10, 60, 150])
def test_a_confusion_matrix_of_any_size_is_a_picture_of_sensible_size(classes: int) -> None:
    picture = _picture(plots.render_confusion_matrix(np.eye(classes, dtype=int) * 7, [f"c{i}" for i in range(classes)]))
    assert 250 < picture.width < 3000
    assert 250 < picture.height < 3000


def test_each_class_of_a_hundred_keeps_enough_pixels_to_be_read() -> None:
    picture = _picture(plots.render_confusion_matrix(np.eye(100, dtype=int), [f"c{i}" for i in range(100)]))
    assert picture.height > 100 * 19


def test_the_diagonal_is_dark_and_the_rest_light() -> None:
    right = _picture(plots.render_confusion_matrix(np.array([[9, 0], [0, 9]]), ["a", "b"])).convert("L")
    wrong = _picture(plots.render_confusion_matrix(np.array([[0, 9], [9, 0]]), ["a", "b"])).convert("L")
    spot = (right.width // 3, right.height // 4)
    assert right.getpixel(spot) < 100
    assert wrong.getpixel(spot) > 200


def test_hostile_names_are_drawn_without_error_or_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.render_confusion_matrix(np.ones((len(HOSTILE),) * 2, int), HOSTILE)


def test_a_class_without_images_and_large_counts_are_drawn() -> None:
    plots.render_confusion_matrix(np.array([[0, 0], [3, 123_456]]), ["none", "many"])


def test_pictures_name_no_software_and_repeat_byte_for_byte(tmp_path: Path) -> None:
    atomic.write_bytes(tmp_path / "m.png", plots.render_confusion_matrix(np.eye(3, dtype=int), ["a", "b", "c"]))
    plots.history_png(tmp_path / "h.png", LINES)
    for name, again in (
        ("m.png", plots.render_confusion_matrix(np.eye(3, dtype=int), ["a", "b", "c"])),
        ("h.png", plots.render_history(LINES)),
    ):
        content = (tmp_path / name).read_bytes()
        assert content == again
        assert not {"Software", "Author", "Creation Time"} & set(_picture(content).info)
        assert b"atplotlib" not in content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["h.png", "m.png"]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        LINES[:1],
        [{"phase": "probe", "epoch": 0, "loss": None, "accuracy": 1.0}],
        [{"phase": "a", "epoch": 1, "loss": math.nan, "val_loss": math.inf}],
        [{**LINES[0], "epoch": n, "phase": str(n // 50)} for n in range(200)],
    ],
    ids=["none", "one", "probe", "not finite", "many"],
)
def test_history_is_drawn_from_whatever_lines_there_are(lines: list[dict[str, Any]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _picture(plots.render_history(lines)).width == 1152


def test_a_single_line_has_its_epoch_below_it_and_no_fraction_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Any] = []
    monkeypatch.setattr(plots, "figure_png", figures.append)
    plots.render_history([{"phase": 1, "epoch": 0, "loss": 0.1, "val_loss": 0.2, "accuracy": 1.0}])
    for axes in figures[0].axes:
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [0]


def test_the_best_epoch_is_the_first_of_the_lowest_validation_loss() -> None:
    assert plots.best_validation_epoch(LINES) == 2
    assert plots.best_validation_epoch([{"epoch": 1, "val_loss": None}]) is None


def test_the_best_epoch_given_is_the_one_drawn() -> None:
    assert plots.render_history(LINES, 2) == plots.render_history(LINES)
    assert plots.render_history(LINES, 4) != plots.render_history(LINES)


def test_phases_meet_between_their_epochs() -> None:
    assert plots.phase_borders(LINES) == [2.5]


def test_names_are_clipped_to_one_printable_line() -> None:
    assert plots.clipped("a" * 30, 10) == "a" * 9 + "…"
    assert plots.clipped("a\nb\u2028c\u202ed") == "a�b c�d"
    assert plots.clipped("short") == "short"


def test_pyplot_stays_out() -> None:
    code = (
        "import sys; from transfercli.evaluation.report import plots; plots.render_history([]);"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_users_matplotlibrc_changes_nothing() -> None:
    import matplotlib

    plain = plots.render_history(LINES)
    with matplotlib.rc_context({"text.usetex": True, "font.size": 30, "axes.spines.top": True}):
        assert plots.render_history(LINES) == plain
