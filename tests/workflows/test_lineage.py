"""Lineage: the runs that a run comes from, and the images that they learnt from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.listener import Listener
from transfercli.data.dataset import Record
from transfercli.data.manifest import write_manifest, write_pixels
from transfercli.data.quality.image_descriptors import DESCRIPTOR, keys_of, write_descriptors
from transfercli.errors import ArtefactError
from transfercli.runs.folder import RunFolder
from transfercli.workflows.known_images import learnt_splits
from transfercli.workflows.lineage import ancestors, generations, learnt_from
from transfercli.workflows.stored_run import StoredRun


def sha(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def run(runs: Path, label: str, parent: str | None = None, images: Sequence[tuple[str, str]] = ()) -> StoredRun:
    """Write a run. images: (content, split) pairs; the pixels of `b2` are those of `b`."""
    folder = RunFolder(runs / label)
    folder.path.mkdir(parents=True)
    weights = f"{{run: {parent}}}" if parent else "none"
    folder.config.write_text(
        f"name: x\ndata: {{train: images, image_size: 32}}\nmodel: {{base: small_cnn, weights: {weights}}}\n"
    )
    folder.labels.write_text('["cat", "dog"]')
    facts = {"status": "interrupted", "command": "", "config_folder": ".", "versions": {}, "parent": parent}
    folder.record.write_text(json.dumps(facts | {"data": {"fingerprint": "", "images": {}}}))
    write_manifest(
        folder.dataset, [Record(f"{content}.png", sha(content), "cat", split, 8, 8) for content, split in images]
    )
    write_pixels(folder.pixels, {sha(content): sha(content[0]) for content, _ in images})
    return StoredRun(folder)


def test_the_ancestors_of_a_run_are_its_parent_and_those_of_its_parent(tmp_path: Path) -> None:
    run(tmp_path, "base/1")
    run(tmp_path, "middle/1", "base/1")
    young = run(tmp_path, "young/1", "middle/1")
    listener = Listener()
    assert [parent.label for parent in ancestors(young, listener)] == ["middle/1", "base/1"]
    assert listener.warnings == []


def test_an_ancestor_that_is_gone_ends_the_line_with_a_warning(tmp_path: Path) -> None:
    young = run(tmp_path, "young/1", "gone/1")
    listener = Listener()
    assert list(ancestors(young, listener)) == []
    assert list(generations(young)) == [("gone/1", None)]
    assert "gone/1, the parent of young/1, does not exist any more" in listener.warnings[0]


def test_runs_that_name_each_other_as_parents_end_the_line(tmp_path: Path) -> None:
    first = run(tmp_path, "first/1", "second/1")
    run(tmp_path, "second/1", "first/1")
    assert [name for name, _ in generations(first)] == ["second/1"]


@pytest.mark.parametrize(
    "content, has, has_copy", [("a", True, False), ("b", True, False), ("b2", True, True), ("c", False, False)]
)
def test_images_of_training_and_validation_of_the_whole_family_and_their_copies_were_learnt_from(
    tmp_path: Path, content: str, has: bool, has_copy: bool
) -> None:
    run(tmp_path, "base/1", images=[("a", "train")])
    young = run(tmp_path, "young/1", "base/1", [("b", "validation"), ("b2", "test"), ("c", "test")])
    learnt = learnt_from(young, reporter=Listener())
    assert (learnt.has(sha(content)), learnt.has_copy(sha(content))) == (has, has_copy)


def test_validation_images_that_any_run_only_chose_by_are_judged_on_with_the_runs_own_validation_split(
    tmp_path: Path,
) -> None:
    run(tmp_path, "base/1", images=[("a", "train"), ("c", "validation")])
    young = run(tmp_path, "young/1", "base/1", [("a", "validation"), ("b", "validation"), ("c", "validation")])
    learnt = learnt_from(young, reporter=Listener(), splits=learnt_splits("validation"))
    assert [learnt.has(sha(content)) for content in ("a", "b", "c")] == [True, False, False]
    assert learnt_splits("test") == ("train", "validation")


def test_a_copy_is_known_although_another_decoder_hashed_the_ancestors_image_otherwise(tmp_path: Path) -> None:
    parent = run(tmp_path, "base/1", images=[("a", "train")])
    write_pixels(parent.folder.pixels, {sha("a"): sha("pixels of an earlier decoder")})
    young = run(tmp_path, "young/1", "base/1", [("a", "test"), ("a2", "test"), ("c", "test")])
    learnt = learnt_from(young, reporter=Listener())
    assert [learnt.has(sha(content)) for content in ("a", "a2", "c")] == [True, True, False]
    assert learnt.has_copy(sha("a2"))


def test_images_that_a_cut_list_of_pixels_or_descriptors_lacks_are_a_gap(tmp_path: Path) -> None:
    young = run(tmp_path, "young/1", images=[("a", "train"), ("b", "validation"), ("c", "test")])
    descriptors = np.zeros(1, DESCRIPTOR)
    descriptors["sha256"] = keys_of([sha("a")])
    write_descriptors(young.folder.descriptors, descriptors)
    write_pixels(young.folder.pixels, {sha("c"): sha("c")})
    assert learnt_from(young, reporter=Listener()).gaps == (
        "pixels.csv of young/1 lacks 2 of its images: copies of them may not be known",
        "descriptors.npy of young/1 lacks 1 of its images: changed copies of them are not known",
    )


def test_a_damaged_hash_in_the_list_of_images_is_an_error_of_the_run(tmp_path: Path) -> None:
    young = run(tmp_path, "young/1", images=[("a", "train")])
    write_descriptors(young.folder.descriptors, np.zeros(1, DESCRIPTOR))
    for damaged in ("x" * 64, sha("a")[:-2], ""):
        write_manifest(young.folder.dataset, [Record("a.png", damaged, "cat", "train", 8, 8)])
        with pytest.raises(ArtefactError, match=r"SHA-256 in dataset\.csv is damaged"):
            learnt_from(StoredRun(young.folder), reporter=Listener())
