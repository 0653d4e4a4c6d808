"""Labels, thresholds and card in a zip archive: inside a `.keras` file, or appended to a `.tflite` file.

LiteRT's metadata standard appends associated files to a model as a zip; `unzip model.tflite` extracts them.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from transfercli.errors import ArtefactError
from transfercli.export.spec import CARD_FILE, ExportSpec, card_text, parse_card

LABELS_FILE, THRESHOLDS_FILE = "labels.txt", "thresholds.json"
MAX_CARD = 16 * 2**20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date of a zip, so that the same export gives the same bytes


def attach_spec(path: Path, spec: ExportSpec) -> None:
    """Add the card and the files of `companions` to the zip archive of `path`."""
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in {**companions(spec), CARD_FILE: card_text(spec)}.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text.encode("utf-8", "surrogateescape"))


def read_attached_spec(path: Path) -> ExportSpec | None:
    """Return the spec that `attach_spec` added, or None if there is none. Raises `ArtefactError` if it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(CARD_FILE).file_size > MAX_CARD:
                raise ArtefactError(f"{path.name} has a card of more than {MAX_CARD >> 20} MiB")
            return parse_card(archive.read(CARD_FILE))
    except (KeyError, zipfile.BadZipFile):
        return None


def companions(spec: ExportSpec) -> dict[str, str]:
    """Return name -> text of the files beside an artefact: labels.txt and, with several labels, thresholds.json."""
    files = {LABELS_FILE: labels_text(spec.labels)}
    if spec.thresholds is not None:
        files[THRESHOLDS_FILE] = thresholds_text(spec.thresholds)
    return files


def thresholds_text(thresholds: tuple[float, ...]) -> str:
    """Return the thresholds as a JSON list, in the order of the labels."""
    return json.dumps(thresholds) + "\n"


def labels_text(labels: tuple[str, ...]) -> str:
    r"""Return one label per line, in index order; backslash, newline and carriage return become \\, \n and \r."""
    escapes = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})
    return "".join(f"{label.translate(escapes)}\n" for label in labels)
