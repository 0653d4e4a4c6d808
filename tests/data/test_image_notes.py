from __future__ import annotations

from transfercli.data.image_notes import (
    BAD_PROFILE,
    CONVERTED,
    DAMAGED_EXTRAS,
    OF_TRAINING,
    REDUCED,
    count_notes,
    depth_note,
    oddities,
    report_notes,
)
from transfercli.reporting import Reporter

DARK = depth_note(12, 16, stretched=False)


class Heard(Reporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.infos: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    def info(self, text: str) -> None:
        self.infos.append(text)


def test_each_kind_of_note_is_counted_once_an_image() -> None:
    counts = count_notes(["", CONVERTED, f"{CONVERTED} {DARK}", depth_note(8, 16, stretched=False)])
    assert counts == {CONVERTED: 2, "levels": 2}


def test_a_policy_that_the_config_chose_is_no_warning() -> None:
    counts, heard = count_notes([CONVERTED, REDUCED, BAD_PROFILE, DAMAGED_EXTRAS, DARK, DARK]), Heard()
    report_notes(counts, (), heard)
    assert [text.split()[0] for text in heard.warnings] == ["1", "1", "1", "1", "2"]
    assert heard.infos == []
    chosen = Heard()
    report_notes(counts, OF_TRAINING, chosen)
    assert (len(chosen.warnings), len(chosen.infos)) == (3, 2)


def test_the_problems_of_an_image_are_said_in_words() -> None:
    assert oddities(f"{CONVERTED} {REDUCED}") == []
    assert oddities(f"transparent {DARK}") == [
        "levels: the samples use 12 of 16 bits (4,096 of 65,536 levels); data.levels: stretch takes the range from them"
    ]
    assert len(oddities(f"{BAD_PROFILE} {DAMAGED_EXTRAS}")) == 2
