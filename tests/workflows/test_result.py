"""Results as JSON: their version comes first, unless their format is one of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transfercli.io.versioned import FORMAT, versioned
from transfercli.workflows.result import ExternalFormat, document


@dataclass(frozen=True)
class Counted:
    images: int

    def as_json(self) -> dict[str, Any]:
        return {"images": self.images}


class Schema(Counted, ExternalFormat):
    """A result in a format of its own."""


def test_the_version_is_the_first_key_of_a_result() -> None:
    assert list(document(Counted(3)).items()) == [("format", FORMAT), ("images", 3)]
    assert document(Counted(3)) == versioned({"images": 3})


def test_a_result_in_a_format_of_its_own_has_no_version() -> None:
    assert document(Schema(3)) == {"images": 3}
