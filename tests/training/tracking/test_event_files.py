"""What TensorFlow's own readers find in the event files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.event_reading import events_of, png
from transfercli.training.tracking import event_files
from transfercli.training.tracking.event_files import GraphNode


@pytest.mark.parametrize(
    "content, checksum",
    [(bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E), (b"123456789", 0xE3069283)],
    ids=["zeros", "ones", "rising", "digits"],
)
def test_the_checksum_is_that_of_the_published_examples(content: bytes, checksum: int) -> None:
    assert event_files.crc32c(content) == checksum  # RFC 3720, B.4, and the usual check value


def test_a_reader_of_tensorflow_finds_what_was_written(tmp_path: Path) -> None:
    path = event_files.next_file(tmp_path / "train")
    picture = png(3, 200)
    nodes = [GraphNode("image", "Input"), GraphNode("base/conv", "Conv2D", ("image",))]
    event_files.append(path, event_files.file_start(7) + event_files.graph(nodes))
    event_files.append(path, event_files.scalar("epoch_loss", 0.25, 300) + event_files.image("batch", picture, 7))
    version, start, graph, scalar, image = events_of(path)
    assert version.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (7, start.session_log.START)
    assert version.wall_time > 1e9
    assert scalar.step == 300
    assert (scalar.summary.value[0].tag, scalar.summary.value[0].simple_value) == ("epoch_loss", 0.25)
    found = image.summary.value[0].image
    assert (found.height, found.width, found.colorspace, found.encoded_image_string) == (3, 200, 3, picture)

    from tensorflow.core.framework import graph_pb2

    told = graph_pb2.GraphDef.FromString(graph.graph_def).node
    assert [(node.name, node.op, list(node.input)) for node in told] == [
        ("image", "Input", []),
        ("base/conv", "Conv2D", ["image"]),
    ]


def test_files_are_numbered_and_name_no_machine(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        path = event_files.next_file(tmp_path)
        event_files.append(path, event_files.file_start(0))
        names.append(path.name)
    assert names == [f"events.out.tfevents.{number:010d}" for number in (1, 2, 3)]
