"""Labels and card inside an artefact."""

from __future__ import annotations

from transfercli.export.formats.embedded_spec import attach_spec, labels_text, read_attached_spec
from transfercli.export.spec import ExportSpec


def test_escaped_labels_cannot_be_confused():
    assert labels_text(("a\\nb", "a\nb")) == "a\\\\nb\na\\nb\n"


def test_what_is_attached_is_read_again_and_the_bytes_are_the_same_each_time(tmp_path):
    spec = ExportSpec(("cat", "naïve\nowl"), (8, 9), "crop", 2.0, 0.5)
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(b"a model")
        attach_spec(tmp_path / name, spec)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one").read_bytes().startswith(b"a model")
    assert read_attached_spec(tmp_path / "one") == spec


def test_a_file_without_an_archive_has_no_card(tmp_path):
    (tmp_path / "plain").write_bytes(b"a model")
    assert read_attached_spec(tmp_path / "plain") is None
