"""Names of a repository of the Hugging Face Hub, its revision and its file, as a config gives them.

They become parts of paths in the local cache and of an address: nothing that leads elsewhere is let through.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from transfercli.config.types import Allowed, Text

MAX_REPOSITORY = 96  # characters, on the Hub
REPOSITORY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?")
REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]*")
FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._/+-]*")
SAFETENSORS = ".safetensors"
# Suffixes of the pickles that PyTorch and its users write.
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".th")


def check_repository(value: str) -> str:
    """Return the name of a repository. Raises `ValueError` unless it is OWNER/NAME, or NAME alone."""
    if not REPOSITORY.fullmatch(value) or ".." in value or "--" in value or value[-1] in ".-":
        raise ValueError("is not the name of a repository")
    if len(value) > MAX_REPOSITORY:
        raise ValueError("is too long for a repository")
    return value


def check_revision(value: str) -> str:
    """Return a commit, branch or tag. Raises `ValueError` if it cannot be one."""
    if not REVISION.fullmatch(value) or _leaves(value):
        raise ValueError("is not a commit, branch or tag")
    return value


def check_file(value: str) -> str:
    """Return the name of a safetensors file. Raises `ValueError` for another kind, or a name outside the repository."""
    if not FILE.fullmatch(value) or _leaves(value):
        raise ValueError("is not a file inside the repository")
    if value.lower().endswith(PICKLES):
        raise ValueError(
            "is a pickle by its name, which runs code when it is loaded, and is never fetched: most repositories have"
            " model.safetensors, too; if this one has not, convert the file as docs/guides/weights-from-elsewhere.md"
            " shows and give it as {path: FILE}"
        )
    if value.endswith(f"{SAFETENSORS}.index.json"):
        raise ValueError("is the index of a checkpoint in several files, and only one file is read")
    if not value.endswith(SAFETENSORS):
        raise ValueError("is not a safetensors file")
    return value


def _leaves(value: str) -> bool:
    """Return True if a name has an empty part or one of dots."""
    return "//" in value or value.endswith("/") or any(set(part) == {"."} for part in value.split("/"))


RepositoryName = Annotated[
    Text, AfterValidator(check_repository), Allowed("OWNER/NAME of a repository, such as timm/resnet18.a1_in1k")
]
Revision = Annotated[Text, AfterValidator(check_revision), Allowed("a commit, branch or tag of the repository")]
RepositoryFile = Annotated[
    Text, AfterValidator(check_file), Allowed("a .safetensors file of the repository, such as model.safetensors")
]
