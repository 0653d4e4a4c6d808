"""Checksums of an artefact's files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.export.any_network import ANY_NETWORK
from transfercli.errors import ArtefactError
from transfercli.export.verify.checksums import verify_checksums


@pytest.mark.parametrize("name", ANY_NETWORK)
def test_export_json_seals_every_file_of_the_artefact(exported, name, tmp_path):
    folder = tmp_path / name
    shutil.copytree(exported.out / name, folder)
    told = json.loads((folder / "export.json").read_text())
    assert Path(told["path"]).name in {*told["sha256"], ""}
    assert not any(file.startswith("1/") for file in told["sha256"])
    verify_checksums(folder, told)
    for file in map(folder.joinpath, told["sha256"]):
        whole = file.read_bytes()
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(ArtefactError, match="not as it was exported"):
            verify_checksums(folder, told)
        file.unlink()
        with pytest.raises(ArtefactError, match="not as it was exported"):
            verify_checksums(folder, told)
        file.write_bytes(whole)


@pytest.mark.parametrize("seal", [["model.onnx"], {"a\0b": "0"}, {"../": 3}])
def test_a_seal_from_elsewhere_may_be_anything(tmp_path, seal):
    with pytest.raises(ArtefactError):
        verify_checksums(tmp_path, {"sha256": seal})
