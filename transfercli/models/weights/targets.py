"""Weight files and repositories as a command line names them: a path, or `hub:REPOSITORY[@REVISION][/FILE]`."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import ValidationError

from transfercli.config.repositories import REPOSITORY
from transfercli.config.schema import FileWeights, HubWeights
from transfercli.errors import UsageError, WeightsError
from transfercli.models.weights.file_kinds import READ_BY_SUFFIX
from transfercli.models.weights.files import WeightSource

HUB_TARGET = re.compile(r"hub:(?P<hub>[^@/]+(?:/[^@/]+)?)(?:@(?P<revision>[^/]+))?(?:/(?P<file>.+))?")
# Hugging Face's repositories as other programs and browsers write them; for a file of one, as a browser shows it.
ELSEWHERE = re.compile(
    r"(?:(?:hf|hf-hub|hf_hub|huggingface):(?://)?|(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/)"
    r"(?P<hub>[^/@]+/[^/@?#]+)(?:/(?:blob|resolve|tree|raw)/(?P<revision>[^/]+)(?:/(?P<file>[^?#]+))?)?.*"
)


def source_of(target: str) -> WeightSource:
    """Return the file or repository that a target names; a file need not be there.

    Raises `UsageError` if it is no valid name of a repository, `WeightsError` if it is none and no file has it.
    """
    if not target.startswith("hub:"):
        _check_path(target)
        return FileWeights(path=target)
    match = HUB_TARGET.fullmatch(target)
    try:
        if match:
            return HubWeights.model_validate({key: value for key, value in match.groupdict().items() if value})
        problem = "is no repository"
    except ValidationError as error:
        details = error.errors()[0]
        problem = f"{details['input']!r} {str(details['ctx']['error']) if 'ctx' in details else details['msg']}"
    raise UsageError(
        f"{target}: {problem}; allowed: hub:OWNER/NAME, hub:OWNER/NAME@REVISION or hub:OWNER/NAME@REVISION/FILE",
        "name a .safetensors file of a repository, such as hub:timm/resnet18.a1_in1k",
    )


def _check_path(target: str) -> None:
    """Raise `UsageError` if a target is an address, `WeightsError` if no file has its name and a repository may."""
    elsewhere = ELSEWHERE.fullmatch(target)
    if elsewhere or "://" in target:
        form = "hub:OWNER/NAME"
        if elsewhere:
            parts = zip(("hub:", "@", "/"), elsewhere.groups(), strict=True)
            form = "".join(mark + part for mark, part in parts if part)
        raise UsageError(
            f"{target} is neither a path nor hub:OWNER/NAME",
            f"a repository of the Hugging Face Hub is written {form}; fetch any other file, and give its path",
        )
    if REPOSITORY.fullmatch(target) and not Path(target).exists() and Path(target).suffix not in READ_BY_SUFFIX:
        raise WeightsError(
            f"there is no file {target!r}",
            f"put the file there or correct the path; a repository of the Hugging Face Hub is written hub:{target}",
        )
