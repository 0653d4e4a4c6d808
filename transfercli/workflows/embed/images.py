"""Images of `embed` and `similar`: files and folders of the command line, read for the network."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from transfercli.data.dataset import Split
from transfercli.data.image import InputImage
from transfercli.data.image_notes import OF_TRAINING, report_notes
from transfercli.data.ingest import Reading
from transfercli.data.sources.folders import Item
from transfercli.data.sources.inputs import expand_inputs, read_names
from transfercli.data.sources.listing import Listing
from transfercli.data.unlabelled_images import UNKNOWN
from transfercli.data.validation import Findings, first_problems, read_images, split_of
from transfercli.errors import DataError
from transfercli.text import counted

STDIN = 0


@dataclass(frozen=True)
class ReadImages:
    """Images that were read.

    Attributes:
        split: the readable ones, in the order of the command line; their paths are as given there.
        files: absolute path of each of them.
        unreadable: (path, reason) of the others.
    """

    split: Split
    files: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...] = ()


def read_inputs(paths: Iterable[str], reading: Reading, *, strict: bool = False) -> ReadImages:
    """Read the images that paths name: files, folders, patterns, or `-` for a list on stdin.

    Unreadable ones are left out with a warning. Raises `DataError` if all are, or with `strict` if one is.
    """
    return read_files(list(expand_inputs(paths, lambda: read_names(STDIN), reading.reporter)), reading, strict=strict)


def read_files(images: list[InputImage], reading: Reading, *, strict: bool = False) -> ReadImages:
    """Read images as `read_inputs` does, given by path; an image that is named twice is there twice."""
    findings = found(images, reading)
    unreadable = [file for file in findings.files if file.entry.problem]
    if unreadable:
        total = counted(len(images), "image")
        message = f"{len(unreadable)} of {total} cannot be read: {first_problems(unreadable)}"
        if len(unreadable) == len(images):
            raise DataError(message, "name image files, or folders that hold some")
        if strict:
            raise DataError(message, "repair or remove them")
        reading.reporter.warning(f"{message}; they are left out")
    report_notes(findings.note_counts, OF_TRAINING, reading.reporter)
    split = split_of(UNKNOWN, findings.usable, (UNKNOWN,), findings)
    left_out = tuple((file.name, file.entry.problem) for file in unreadable)
    return ReadImages(split, tuple(file.file for file in findings.usable), left_out)


def found(images: Iterable[InputImage], reading: Reading) -> Findings:
    """Read images given by path; the entry of one that cannot be read has a problem."""
    # Not pathlib: a path may hold what no file name can, and then the file is reported as unreadable.
    items = [
        Item(image.file or os.path.abspath(image.path), image.path, UNKNOWN, UNKNOWN, image.problem)  # noqa: PTH100
        for image in images
    ]
    return read_images(Listing(items), reading)
