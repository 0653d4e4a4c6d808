from __future__ import annotations

from dataclasses import replace

from transfercli.data.dataset import Record
from transfercli.data.label_sets import LabelSet
from transfercli.data.quality.diff import compare

CAT = Record("cat/1.png", "a1", "cat", "train", 9, 9)
DOG = Record("dog/2.png", "b2", "dog", "validation", 9, 9)
OWL = Record("owl/3.png", "c3", "owl", "test", 9, 9)
ALL = (CAT, DOG, OWL)


def test_the_same_records_are_unchanged() -> None:
    found = compare(ALL, ALL)
    assert found.unchanged
    assert found.same == 3


def test_an_added_a_removed_and_a_changed_image_are_told_apart() -> None:
    found = compare(ALL, (replace(CAT, sha256="a9"), DOG, Record("owl/4.png", "d4", "owl", "train")))
    assert (found.added, found.removed, found.changed) == (["owl/4.png"], ["owl/3.png"], ["cat/1.png"])
    assert (found.relabelled, found.renamed, found.unchanged) == ([], [], False)


def test_bytes_moved_to_another_class_folder_are_relabelled_and_neither_added_nor_removed() -> None:
    found = compare(ALL, (replace(CAT, path="dog/1.png", label="dog"), DOG, OWL))
    assert found.relabelled == ["dog/1.png"]
    assert found.earlier_labels == {"dog/1.png": "cat"}
    assert (found.added, found.removed, found.lost_classes) == ([], [], ["cat"])


def test_two_images_that_change_places_are_relabelled_or_renamed_and_not_changed() -> None:
    found = compare(ALL, (replace(CAT, sha256="b2"), replace(DOG, sha256="a1"), OWL))
    assert (found.relabelled, found.changed, found.renamed) == (["cat/1.png", "dog/2.png"], [], [])
    assert found.earlier_labels == {"cat/1.png": "dog", "dog/2.png": "cat"}
    assert found.label_changes == [("cat/1.png", "dog", "cat"), ("dog/2.png", "cat", "dog")]
    assert not found.unchanged
    two = replace(CAT, path="cat/2.png", sha256="a2")
    within = compare((CAT, two), (replace(CAT, sha256="a2"), replace(two, sha256="a1")))
    assert within.unchanged
    assert within.renamed == [["cat/2.png", "cat/1.png"], ["cat/1.png", "cat/2.png"]]


def test_an_image_that_overwrites_another_is_relabelled_and_the_other_one_changed() -> None:
    found = compare(ALL, (replace(DOG, sha256="a1"), OWL))
    assert (found.relabelled, found.changed, found.removed) == (["dog/2.png"], ["dog/2.png"], [])


def test_another_label_for_the_same_path_is_relabelled() -> None:
    found = compare(ALL, (replace(CAT, label="lynx"), DOG, OWL))
    assert (found.relabelled, found.changed, found.moved) == (["cat/1.png"], [], [])
    assert (found.new_classes, found.lost_classes) == (["lynx"], ["cat"])


def test_a_new_name_alone_is_no_change_and_a_new_side_is() -> None:
    found = compare(ALL, (replace(CAT, path="cat/z.png"), DOG, OWL))
    assert found.renamed == [["cat/1.png", "cat/z.png"]]
    assert found.unchanged
    found = compare(ALL, (replace(CAT, split="test"), DOG, replace(OWL, path="owl/z.png", split="train")))
    assert found.moved == ["cat/1.png", "owl/z.png"]
    assert not found.unchanged


def test_a_side_that_nobody_knows_has_not_moved() -> None:
    assert compare(ALL, [replace(one, split="") for one in ALL]).unchanged


def test_an_image_that_became_unreadable_or_readable_has_changed() -> None:
    bad = replace(CAT, sha256="x", split="", problem="truncated")
    assert compare(ALL, (bad, DOG, OWL)).changed == ["cat/1.png"]
    assert compare((bad, DOG, OWL), ALL).changed == ["cat/1.png"]
    assert compare((bad, DOG, OWL), (replace(bad, sha256="y"), DOG, OWL)).unchanged


def test_bad_files_that_come_and_go_are_no_change() -> None:
    bad = Record("cat/bad.png", "", "cat", "", problem="zero bytes")
    assert compare(ALL, (*ALL, bad)).unchanged
    assert compare((*ALL, bad), ALL).unchanged


def test_copies_are_matched_one_by_one_and_within_their_class_first() -> None:
    copy = replace(CAT, path="cat/copy.png")
    present = (
        replace(CAT, path="cat/n.png"),
        replace(CAT, path="dog/n.png", label="dog"),
        replace(CAT, path="cat/m.png"),
    )
    found = compare((CAT, copy), present)
    assert found.renamed == [["cat/1.png", "cat/m.png"], ["cat/copy.png", "cat/n.png"]]
    assert found.added == ["dog/n.png"]
    assert found.relabelled == []


def test_sets_of_labels_are_compared_as_sets_and_classes_are_their_labels() -> None:
    earlier = [replace(CAT, label='["blurry", "green"]'), replace(DOG, label="[]")]
    present = [replace(CAT, label='{"has": ["green"], "unknown": ["new"]}'), replace(DOG, label="[]")]
    found = compare(earlier, present, several=True)
    assert (found.relabelled, found.same) == (["cat/1.png"], 1)
    assert (found.new_classes, found.lost_classes) == (["new"], ["blurry"])
    assert found.as_result()["earlier_labels"] == {"cat/1.png": ["blurry", "green"]}
    back = compare(present, earlier, several=True).as_result()["earlier_labels"]
    assert back == {"cat/1.png": {"has": ["green"], "unknown": ["new"]}}
    assert LabelSet.read(present[0].label).shown == "green (unknown: new)"
