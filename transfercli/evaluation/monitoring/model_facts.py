"""Facts of a model that was asked: answers of models with other facts are never added up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from transfercli.errors import ArtefactError

KEY = 12  # hexadecimal digits of a model's key
_TASKS = ("one label", "several labels", "number")


@dataclass(frozen=True)
class ModelFacts:
    """Facts that an answer depends on.

    run: EXPERIMENT/RUN_ID, also of an artefact of that run; "" if an artefact does not name it. kind: `run`, or the
    format of an artefact. labels: in index order, or the name of the number. answers: one label, several labels, or
    number. geometry: how images are read, as `data.image.Geometry` has it. sha256: of the weights, calibration and
    thresholds, or of the artefact.
    """

    run: str
    kind: str
    labels: tuple[str, ...]
    answers: str
    geometry: Mapping[str, Any]
    sha256: str

    @property
    def key(self) -> str:
        """The name of the model among others: a hash of all facts."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:KEY]

    @property
    def several(self) -> bool:
        """True if an image may have several labels."""
        return self.answers == "several labels"

    @property
    def has_numbers(self) -> bool:
        """True if each image gets a number."""
        return self.answers == "number"

    @property
    def title(self) -> str:
        """The name of the model for people."""
        name = self.run or "an artefact without the name of its run"
        return name if self.kind == "run" else f"{name} as {self.kind}"

    @classmethod
    def from_json(cls, values: Any, name: str) -> ModelFacts:
        """Return the facts in JSON from an untrusted source; name: of the file. Raises `ArtefactError`."""
        try:
            facts = cls(**{**values, "labels": tuple(values["labels"])})
            texts = (facts.run, facts.kind, facts.answers, facts.sha256, *facts.labels)
            if not all(isinstance(text, str) for text in texts) or not isinstance(facts.geometry, dict):
                raise ValueError("a name is no text")
            if facts.answers not in _TASKS or not facts.labels:
                raise ValueError(f"answers is {facts.answers!r}, and it must be one of {', '.join(_TASKS)}")
        except (TypeError, KeyError, ValueError) as error:
            raise ArtefactError(f"{name} is damaged: {error}", "remove its folder, or restore it") from error
        return facts
