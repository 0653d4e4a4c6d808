"""Names of the class folders of `predict --sort-into`: each label has its own, inside of the folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from transfercli.workflows.predict.predict import Prediction

ABSTAINED, UNREADABLE, UNLABELLED = "_abstained", "_unreadable", "_no_label"
LONGEST = 200  # bytes; file systems allow 255
# What no file system, or not each of them, allows in a name, and `%`, which stands before the code of such a character.
# Surrogates that stand for no byte are in labels that a stranger wrote.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\%:*?"<>|\ud800-\udc7f\udd00-\udfff]|[. ]$|^[._ ]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def folder_of(label: str) -> str:
    """Return the folder of a class: its label, with `%2F` for a slash and the like, so that no two labels share one.

    A folder of a class never begins with `_` or `.`: those of images without a class do.
    """
    name = _UNSAFE.sub(lambda found: _coded(found[0]), label)
    if _RESERVED.fullmatch(name) or not name:
        name = f"%{name}"
    raw = name.encode("utf-8", "surrogateescape")
    if len(raw) <= LONGEST:
        return name
    return raw[:LONGEST].decode("utf-8", "ignore") + "%" + hashlib.sha256(raw).hexdigest()[:16]


def _coded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def folders_of(prediction: Prediction) -> Iterator[str]:
    """Yield the folders of an image: one, or that of each of its labels if it may have several."""
    if prediction.error:
        yield UNREADABLE
    elif prediction.abstained:
        yield ABSTAINED
    elif prediction.answered is not None:
        yield from (folder_of(label) for label, _ in prediction.answered)
        if not prediction.answered:
            yield UNLABELLED
    else:
        label, _ = prediction.best
        yield UNLABELLED if label is None else folder_of(label)
