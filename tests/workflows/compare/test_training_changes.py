"""Changes between the training images of two runs, and the groups that they are shown in."""

from __future__ import annotations

from transfercli.data.dataset import Record
from transfercli.workflows.compare.training_changes import grouped, training_changes


def image(path: str, content: str, label: str, split: str = "train", problem: str = "") -> Record:
    return Record(path, content, label, split, 8, 8, problem)


def kinds(first: list[Record], second: list[Record]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for change in training_changes(first, second)[1]:
        found.setdefault(change.kind, []).append(change.record.path)
    return found


def test_content_decides_and_a_renamed_image_has_not_changed() -> None:
    first = [image("x/1.png", "one", "x"), image("x/2.png", "two", "x"), image("y/3.png", "three", "y")]
    second = [image("x/new-name.png", "one", "x"), image("y/2.png", "two", "y"), image("y/3.png", "other", "y")]
    common, _ = training_changes(first, second)
    assert [record.path for record in common] == ["x/new-name.png"]
    assert kinds(first, second) == {"relabelled": ["x/2.png"], "changed": ["y/3.png"]}


def test_files_that_changed_places_are_in_common() -> None:
    first = [image("x/1.png", "one", "x"), image("x/2.png", "two", "x")]
    second = [image("x/1.png", "two", "x"), image("x/2.png", "one", "x")]
    assert kinds(first, second) == {}


def test_an_image_of_another_split_has_moved() -> None:
    first = [image("1", "one", "x"), image("2", "two", "x", "validation"), image("4", "four", "x")]
    second = [image("1", "one", "x", "test"), image("2", "two", "x"), image("3", "three", "x")]
    assert kinds(first, second) == {
        "moved in": ["2"],
        "added": ["3"],
        "moved out": ["1"],
        "removed": ["4"],
    }


def test_an_image_that_is_listed_twice_counts_twice_and_one_with_a_problem_not_at_all() -> None:
    twice = [image("1", "one", "x"), image("2", "one", "x")]
    (change,) = training_changes(twice, twice[:1])[1]
    assert (change.kind, change.record.sha256) == ("removed", "one")
    assert kinds([], [image("1", "one", "x", problem="damaged")]) == {}


def many(count: int, label: str, folder: str = "", start: int = 0) -> list[Record]:
    return [image(f"{label}{folder}/{n}.png", f"{label}{folder}{n}", label) for n in range(start, start + count)]


COMMON = [record for label in "abcde" for record in many(20, label)]


def texts(first: list[Record], second: list[Record], most: int = 8) -> list[str]:
    return [group.text for group in grouped(*training_changes(first, second), most)]


def relabelled(records: list[Record], label: str) -> list[Record]:
    return [image(record.path, record.sha256, label) for record in records]


def test_images_of_one_class_are_named_and_those_of_all_classes_are_not_divided() -> None:
    wrong = [*relabelled(COMMON[:12], "b"), *COMMON[12:]]
    assert texts(COMMON, wrong) == ["12 relabelled images of 'a' as 'b'"]
    new = [record for label in "abcde" for record in many(4, label, start=50)]
    assert texts(COMMON, [*COMMON, *new]) == ["20 new images"]


def test_relabelled_images_of_several_classes_are_named_by_their_new_one() -> None:
    wrong = [relabelled([record], "e")[0] if int(record.path[2:-4]) < 3 else record for record in COMMON]
    assert texts(COMMON, wrong) == ["12 relabelled images as 'e'"]


def test_the_rest_of_a_kind_is_one_group() -> None:
    wrong = [*relabelled(COMMON[:9], "b"), *COMMON[9:40], *relabelled(COMMON[40:41], "a"), *COMMON[41:]]
    assert texts(COMMON, wrong) == ["9 relabelled images of 'a' as 'b'", "1 other relabelled image of 'c' as 'a'"]


def test_a_new_folder_is_named() -> None:
    new = [record for label in "abcde" for record in many(4, label, "/camera2")]
    assert texts(COMMON, [*COMMON, *new]) == ["20 new images in 'camera2'"]
    mixed = [*new, *(record for label in "abcde" for record in many(1, label, start=70))]
    assert texts(COMMON, [*COMMON, *mixed]) == ["20 new images in 'camera2'", "5 other new images"]


def test_a_new_class_is_named() -> None:
    assert texts(COMMON, [*COMMON, *many(7, "f")]) == ["7 new images of 'f'"]


def test_the_smallest_groups_are_merged() -> None:
    second = [*relabelled(COMMON[:10], "b"), *COMMON[13:], *many(2, "f")]
    assert len(texts(COMMON, second)) == 3
    assert texts(COMMON, second, 2) == [
        "10 relabelled images of 'a' as 'b'",
        "5 other images (added, removed, changed or relabelled)",
    ]


def test_the_folder_of_a_class_is_not_a_source() -> None:
    assert image("../archive/boot/2026/1.png", "", "boot").source_folder == "archive/2026"
    assert image("boot/1.png", "", "boot").source_folder == ""
