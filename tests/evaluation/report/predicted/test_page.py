"""The page of `predict --report`: its groups, its bounds, and what a hostile name may not do."""

from __future__ import annotations

import re
from typing import Any

import pytest

from transfercli.evaluation.report.predicted import chosen as module
from transfercli.evaluation.report.predicted.chosen import OF_CLASS, OF_DOUBT, OF_STRIP, PICTURES, ChosenImages
from transfercli.evaluation.report.predicted.page import PageFacts, images_shown, render_page, shown_groups
from transfercli.workflows.predict.predict import Prediction

FACTS = PageFacts("flowers@champion", "transfercli predict flowers@champion photos", "predictions.csv")
HOSTILE = "<script>alert(1)</script>"


def answer(label: str, probability: float, path: str = "a.png", **facts: Any) -> Prediction:
    return Prediction(path, ((label, probability), ("other", 1 - probability)), **facts)


def chosen_of(predictions: list[Prediction], labels: tuple[str, ...] = ("cat", "dog", "other")) -> ChosenImages:
    chosen = ChosenImages(labels)
    for prediction in predictions:
        chosen.add(prediction)
    return chosen


def page_of(chosen: ChosenImages) -> str:
    return render_page(chosen, {id(image): "data:image/png;base64,AA" for image in images_shown(chosen)}, FACTS)


def test_an_image_is_in_the_first_group_that_fits() -> None:
    chosen = chosen_of(
        [
            Prediction("bad.png", error="truncated"),
            answer("cat", 0.4, abstained=True, strange=True, unknown=9.0),
            answer("cat", 0.6, strange=True, unknown=8.0),
            answer("dog", 0.9, strange=False, unknown=1.0),
        ]
    )
    doubts, classes = shown_groups(chosen)
    assert [(shown.title, shown.group.count) for shown in doubts] == [
        ("The model abstains", 1),
        ("Unlike the training images", 1),
    ]
    assert [(shown.title, shown.group.count) for shown in classes] == [("dog", 1)]
    assert chosen.unreadable == 1
    page = page_of(chosen)
    assert page.index("bad.png") < page.index("The least probable answers first") < page.index('id="class-1-title"')


def test_a_class_shows_the_least_sure_and_the_surest_and_says_how_many_it_leaves_out() -> None:
    chosen = chosen_of([answer("cat", 0.5 + number / 1000, f"{number:03}.png") for number in range(400)])
    _, [cats] = shown_groups(chosen)
    names = [image.path for image in cats.images]
    assert names == [f"{number:03}.png" for number in (*range(18), *range(394, 400))]
    assert cats.left_out == 400 - OF_CLASS
    assert "376 left out" in page_of(chosen)


def test_a_small_class_is_shown_whole_from_the_least_sure_on() -> None:
    chosen = chosen_of([answer("cat", probability) for probability in (0.9, 0.5, 0.7)])
    _, [cats] = shown_groups(chosen)
    assert [image.best[1] for image in cats.images] == [0.5, 0.7, 0.9]
    assert cats.left_out == 0


def test_the_page_and_the_memory_are_bounded_whatever_the_number_of_images_and_classes() -> None:
    labels = tuple(f"class {number}" for number in range(2000))
    chosen = ChosenImages(labels)
    for number in range(30_000):
        label = labels[number % len(labels)]
        chosen.add(answer(label, 0.5 + (number % 97) / 200, f"{number}.png", abstained=number % 10 == 0))
    assert len(images_shown(chosen)) <= PICTURES
    assert len(chosen.doubtful.shown(10**6)) == OF_DOUBT
    kept = sum(len(group.shown(10**6)) for _, group in chosen.by_class)
    assert kept <= OF_CLASS * len(labels)


def test_pictures_are_shared_out_evenly_if_there_are_many_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PICTURES", 30)
    labels = tuple("abcdef")
    chosen = chosen_of([answer(label, 0.9, f"{label}{n}.png") for label in labels for n in range(20)], labels)
    _, classes = shown_groups(chosen)
    assert [len(shown.images) for shown in classes] == [5] * 6


def test_an_image_with_several_labels_is_shown_for_each_of_them_and_one_without_any_apart() -> None:
    both = Prediction("both.png", (("cat", 0.9), ("dog", 0.7)), answered=(("cat", 0.9), ("dog", 0.7)))
    none = Prediction("none.png", (("cat", 0.4), ("dog", 0.1)), answered=())
    doubts, classes = shown_groups(chosen_of([both, none]))
    assert [shown.title for shown in doubts] == ["No label"]
    assert [(shown.title, [image.path for image in shown.images]) for shown in classes] == [
        ("cat", ["both.png"]),
        ("dog", ["both.png"]),
    ]


def test_numbers_are_a_strip_in_their_order_with_both_ends() -> None:
    chosen = chosen_of([Prediction(f"{n}.png", value=float((n * 7919) % 10_000)) for n in range(10_000)], ("age",))
    strip = chosen.strip()
    values = [image.value for image in strip]
    assert len(strip) == OF_STRIP
    assert values == sorted(values)
    assert values[:6] == [0, 1, 2, 3, 4, 5]
    assert values[-6:] == [9994, 9995, 9996, 9997, 9998, 9999]
    page = render_page(chosen, {}, PageFacts("ages", "", "predictions.csv", quantity="age"))
    assert "9,940 left out" in page
    assert "of a random sample of 4,096 images" in page


def test_few_numbers_are_all_shown() -> None:
    chosen = chosen_of([Prediction(f"{n}.png", value=float(n % 3)) for n in range(9)], ("age",))
    assert len(chosen.strip()) == 9


def test_sets_are_counted_by_their_size() -> None:
    chosen = chosen_of([answer("cat", 0.9, labels=("cat",)), answer("cat", 0.5, labels=("cat", "dog"))] * 3)
    assert re.search(r"Prediction sets: 3 of 1 label, 3 of 2 labels", page_of(chosen))


def test_names_cannot_add_markup_and_paths_of_the_machine_are_shortened() -> None:
    chosen = chosen_of(
        [answer(HOSTILE, 0.9, f"/home/ann/{HOSTILE}.png"), Prediction("/home/ann/b.png", error=HOSTILE)], (HOSTILE,)
    )
    page = page_of(chosen)
    assert "alert(1)</script>" not in page.replace("&lt;", "<").split("<main>")[0].split("<title>")[0]
    assert HOSTILE not in page
    assert "/home/ann" not in page


def test_a_page_of_unreadable_images_alone_is_complete() -> None:
    page = page_of(chosen_of([Prediction(f"{n}.png", error="does not exist") for n in range(250)]))
    assert "The first 200 are shown" in page
    assert page.rstrip().endswith("</html>")
