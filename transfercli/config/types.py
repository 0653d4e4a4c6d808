"""Types of config values: numbers with bounds, names of table rows, image sizes, gates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import core_schema

from transfercli.config import registries

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Allowed:
    """Annotation with the allowed values in words, if bounds and types alone do not describe them well."""

    text: str


@dataclass(frozen=True)
class RowName:
    """Annotation of a string that names a row of a table in `registries.TABLES`, imported when a config is checked."""

    table: str

    def check(self, value: str) -> str:
        """Return the name of the row, in the table's spelling. Raises `ValueError` if the table has no such row."""
        name = registries.row_name(self.table, value)
        if name is None:
            raise ValueError(f"is not a known {self.table}")
        return name

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "enum": list(registries.names(self.table))}


def _folder_name(value: str) -> str:
    if not NAME.fullmatch(value) or set(value) == {"."}:
        raise ValueError("cannot name a folder")
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is not a regular expression ({error})") from error
    return value


def _background(value: Any) -> Any:
    """Return a colour as `#rrggbb`, and `none` unchanged."""
    from PIL import ImageColor

    text = value.strip().lower() if isinstance(value, str) else ""
    if text == "none" or HEX_COLOUR.fullmatch(text):
        return text
    if text not in ImageColor.colormap:
        raise ValueError("is not a colour")
    return "#{:02x}{:02x}{:02x}".format(*ImageColor.getrgb(text))


def _image_size(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _whole(value: Any) -> Any:
    if type(value) is not int:
        raise ValueError("must be a whole number")
    return value


def is_gate(value: Any) -> bool:
    """Return True if a value of `evaluation.gates` is a bound."""
    return bool(GATE.fullmatch(value)) if isinstance(value, str) else type(value) in (int, float)


def bound_of(gate: float | str) -> float:
    """Return the number of a gate such as `0.9` or `"<=0.05"`."""
    return float(gate.lstrip().lstrip("<>=") if isinstance(gate, str) else gate)


def _budget(value: Any) -> Any:
    is_budget = BUDGET.fullmatch(value) if isinstance(value, str) else type(value) in (int, float)
    if not is_budget or seconds_of(value, 1.0) <= 0:
        raise ValueError("is not a budget")
    return value


def seconds_of(budget: float | str, probe_seconds: float) -> float:
    """Return a budget in seconds; a multiple such as `"3x"` counts in `probe_seconds`, the time of the probe."""
    return float(budget.strip().rstrip("x")) * probe_seconds if isinstance(budget, str) else float(budget)


def _monitor(value: Any) -> Any:
    """Return the key of an epoch's line for a metric's name, with or without `val_`; other values unchanged."""
    names = {"log_loss": "val_loss", "loss": "val_loss"}
    if not isinstance(value, str) or value.startswith("val_"):
        return value
    return names.get(value, f"val_{value}")


def _different(values: list[int]) -> list[int]:
    if len(set(values)) != len(values):
        raise ValueError("holds a seed twice")
    return values


def _gate(value: Any) -> Any:
    if isinstance(value, str) and not is_gate(value):
        raise ValueError("is not a bound")
    return value


# Kind of answer: one class per image, any number of labels, one of classes in an order, or one number.
Task = Literal["classify", "multilabel", "ordinal", "regression"]
CLASSIFY: Task = "classify"
MULTILABEL: Task = "multilabel"
ORDINAL: Task = "ordinal"
REGRESSION: Task = "regression"

# Strict: a number is written 5, not "5" or true.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True)]
Seed = Annotated[Whole, Field(ge=0, lt=2**31)]
Seeds = Annotated[
    list[Seed],
    Field(min_length=2, max_length=1000),
    AfterValidator(_different),
    Allowed("two or more different whole numbers from 0, such as [0, 1, 2]"),
]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(min_length=1)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Fraction = Annotated[Number, Field(gt=0, lt=1)]
Rate = Annotated[Number, Field(ge=0, lt=1)]
Share = Annotated[Number, Field(ge=0, le=1)]
PositiveShare = Annotated[Number, Field(gt=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$"), Allowed("64 hexadecimal digits")]
Day = Annotated[
    str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"), Allowed("a day, such as 2026-11-28")
]
Device = Annotated[
    str, Field(pattern=r"^(auto|cpu|gpu(:\d{1,3})?)$"), Allowed("auto, cpu, gpu, or gpu:N such as gpu:0")
]
FolderName = Annotated[
    str,
    AfterValidator(_folder_name),
    WithJsonSchema({"type": "string", "pattern": f"^{NAME.pattern}$"}),
    Allowed("1 to 64 letters, digits, '.', '_' or '-', and not only dots"),
]
Pattern = Annotated[Text, AfterValidator(_pattern), Allowed("a regular expression, or the name of a column")]
SplitSource = Annotated[Fraction | Text, Allowed("a fraction above 0 and below 1, or a path")]
SideLength = Annotated[Whole, Field(ge=8, le=4096)]
ImageSize = Annotated[
    SideLength | tuple[SideLength, SideLength],
    BeforeValidator(_image_size),
    Allowed("a whole number from 8 to 4096, or [height, width] of such numbers"),
]
Channels = Annotated[Literal[3, 1], BeforeValidator(_whole)]
AlertExit = Annotated[Literal[0, 5], BeforeValidator(_whole)]
Unfreeze = Annotated[
    Annotated[Whole, Field(ge=0)] | Text,
    Allowed("none, all, the name of a stage or layer, or a number of layers from the top"),
]
VAL_LOSS = "val_loss"  # the only one of these metrics that is better if it is lower
# Metrics of an epoch's line that only a run with several labels per image has.
LABEL_MONITORS = ("val_map", "val_micro_f1")
SelectionMetric = Annotated[
    Literal["val_accuracy", "val_macro_f1", "val_balanced_accuracy", "val_loss", "val_map", "val_micro_f1"],
    BeforeValidator(_monitor),
    Allowed(
        "accuracy, macro_f1, balanced_accuracy or log_loss, also as val_accuracy …; with several labels per image also"
        " map and micro_f1"
    ),
]
HEX_COLOUR = re.compile("#[0-9a-f]{6}")
Background = Annotated[
    str,
    BeforeValidator(_background),
    Allowed('the CSS name of a colour, such as white, "#rrggbb" in quotes (without them, # starts a comment), or none'),
]
BUDGET = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*x\s*")
Budget = Annotated[
    Number | str,
    BeforeValidator(_budget),
    Allowed('seconds, or a text such as "3x": a multiple of what the probe takes'),
]
GATE = re.compile(r"\s*(>=|<=)\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
Gate = Annotated[
    Number | str, BeforeValidator(_gate), Allowed('a number (a lower bound), or a text such as ">=0.9" or "<=0.05"')
]
