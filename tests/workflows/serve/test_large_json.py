"""JSON that is parsed in pieces: the same values and the same refusals as Python's own parser."""

import json
import random

import numpy as np
import pytest

from transfercli.workflows.serve import large_json
from transfercli.workflows.serve.large_json import SMALL, parse_json

VALUES = {
    "levels": {"instances": (np.arange(200 * 200 * 3).reshape(200, 200, 3) % 256).tolist()},
    "flat": {"inputs": [{"name": "x", "data": list(range(100_000))}]},
    "texts": {"instances": [{"b64": "A" * 90_000}, {"b64": '\\"[]{},é' * 5_000}]},
    "mixed": [[1, -2.5, True, None, "a,]", {}, [], {"k": [[], [1e3]]}]] * 3_000,
    "unequal": [[1] * 10, [2] * 90_000, [[3]] * 5, {"a": [4] * 60_000}, "b" * 90_000] * 2,
    "text": "a" * 100_000,
    "deep": [[[[[[[[[1] * 20_000]]]]]]]],
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("style", [{}, {"separators": (",", ":")}, {"indent": 1}, {"ensure_ascii": False}])
def test_values_are_those_of_pythons_parser(name, style):
    text = json.dumps(VALUES[name], **style)
    assert len(text) > SMALL
    assert parse_json(text.encode()) == VALUES[name]


def test_damaged_texts_are_refused_as_pythons_parser_does():
    rng = random.Random(5)
    text = json.dumps(VALUES["mixed"][:900])
    for _ in range(60):
        at = rng.randrange(len(text))
        damaged = text[:at] + rng.choice('[]{},":1 x') + text[at + 1 :]
        try:
            wanted = json.loads(damaged)
        except ValueError:
            with pytest.raises(ValueError):
                parse_json(damaged.encode())
        else:
            assert parse_json(damaged.encode()) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "[" * 60_000,
        "[1," * 60_000,
        '{"a":' * 30_000,
        "[" + "1" * 200_000 + "]",
        '["' + "a" * 90_000,
        "[1,]" + " " * 90_000,
        "[NaN" + ",1" * 60_000 + "]",
        "[1,," + "1," * 60_000 + "1]",
        "[1]" + " " * 90_000 + "x",
        "{" + " " * 90_000,
        "{" + ",".join(f'"{n}":1' for n in range(400_000)) + "}",
        "[" * 20 + "1," * 90_000 + "1" + "]" * 20,
    ],
)
def test_texts_that_are_no_json_or_nested_too_deeply_are_refused(text):
    with pytest.raises(ValueError):
        parse_json(text.encode())


def test_no_call_of_the_parser_sees_more_numbers_than_a_piece(monkeypatch):
    seen = []

    class Watched(json.JSONDecoder):
        def raw_decode(self, s, idx=0):
            value, end = super().raw_decode(s, idx)
            seen.append(0 if isinstance(value, str) else end - idx)
            return value, end

    monkeypatch.setattr(large_json, "_DECODER", Watched())
    for name in ("levels", "flat", "unequal", "deep"):
        parse_json(json.dumps(VALUES[name]).encode())
    assert max(seen) <= large_json.PIECE + 2
