"""The Jinja2 environment of the HTML pages, with its filters, and the script that sorts their tables."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from transfercli.evaluation.report.plots import clipped
from transfercli.redaction import hide_paths

TEMPLATES = Path(__file__).parent / "templates"


def load_script(name: str) -> tuple[Any, str]:
    """Return the text of a script in `templates`, and its hash for the page's Content-Security-Policy."""
    from markupsafe import Markup

    text = (TEMPLATES / name).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return Markup(text), f"sha256-{digest}"


def jinja_environment(*more: Path) -> Any:
    """Return the environment of the pages: values are escaped, and its filters make names one printable line.

    more: folders with further templates.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([TEMPLATES, *more]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "fixed": _fixed,
        "percent": lambda value: f"{100 * value:.1f}%",
        "name": lambda text, length=60: clipped(str(text), length),
        "path": _breakable,
        "line": lambda text, length=1000: clipped(hide_paths(str(text)), length),
        "title": _title,
        "signed": _signed,
        "amount": _amount,
        "capitalized": lambda text: text[:1].upper() + text[1:],
    }
    return environment


def _breakable(text: str, length: int = 1000) -> Any:
    """Return a relative path as one printable, escaped line, which a browser may break after a slash."""
    from markupsafe import Markup

    return Markup("/<wbr>").join(clipped(text, length).split("/"))


def _fixed(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _signed(value: float, digits: int = 3) -> str:
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "−")  # without a minus before 0


def _title(metric: str) -> str:
    """Return the name of a metric in words: `macro_f1` -> `macro F1`."""
    words = {
        "f1": "F1",
        "auc": "AUC",
        "roc": "ROC",
        "ece": "ECE",
        "mcc": "MCC",
        "top5": "top-5",
        "cohen": "Cohen's",
        "brier": "Brier",
        "map": "mAP",
        "ap": "AP",
        "auroc": "AUROC",
        "hamming": "Hamming",
    }
    return " ".join(words.get(word, word) for word in metric.split("_"))


def _amount(number: int, noun: str) -> str:
    plural = {"class": "classes"}.get(noun, noun + "s")
    return f"{number:,} {noun if number == 1 else plural}"
