"""The model card: README.md as the Hugging Face Hub shows it, with metadata that the Hub reads.

Everything in it is what the run's files say; nothing is measured here. After Mitchell et al. 2019, "Model Cards for
Model Reporting".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.data.dataset import KNOWN_BY
from transfercli.export.card.facts import CardFacts, EvaluationFacts
from transfercli.export.card.markdown import code, escaped, one_line
from transfercli.export.formats.registry import FORMATS
from transfercli.export.formats.snippets import RESIZING
from transfercli.text import first_of

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

FILE = "README.md"
MARK = "<!-- Written by transfercli export; the next export writes it anew. -->"
TEMPLATES = Path(__file__).parent / "templates"
FEW = 50  # training images of a class, below which a card warns of it
CHOSEN_BY = "validation"  # images that the best epoch was chosen by say less of the model's limits than others
WEAKEST, MOST_LISTED, MOST_CLASSES = 3, 20, 200
SPLITS = ("train", "validation", "test")
# Names of our metrics at hf.co/metrics; what is not there goes by its own.
HUB_METRICS = {
    "macro_f1": "f1",
    "weighted_f1": "f1",
    "macro_precision": "precision",
    "macro_recall": "recall",
    "brier": "brier_score",
    "mcc": "matthews_correlation",
}


def model_card(facts: CardFacts) -> str:
    """The whole file: a block of YAML, then Markdown."""
    from huggingface_hub import ModelCard
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "md": lambda text: "–" if text is None else escaped(str(text)),
        "line": one_line,
        "code": code,
        "number": lambda value: "–" if value is None else f"{value:.4f}",
        "interval": lambda ends: f"{ends[0]:.4f} to {ends[1]:.4f}" if ends else "–",
        "percent": lambda value: "–" if value is None else f"{100 * value:.1f}%",
    }
    body = environment.get_template("card.md.j2").render(
        facts=facts,
        record=facts.record,
        spec=facts.spec,
        main=next(iter(facts.evaluations.items()), None),
        limits=list(limits(facts)),
        formats=FORMATS,
        resizing=RESIZING[facts.spec.resize],
        splits=SPLITS,
        most_classes=MOST_CLASSES,
        mark=MARK,
    )
    return str(ModelCard(f"---\n{metadata(facts).to_yaml()}\n---\n{body}"))


def metadata(facts: CardFacts) -> ModelCardData:
    """What the Hub reads: kind, library, licence, and every metric of every evaluation in the model index.

    Not of images that the run learnt from: the Hub would show those metrics without a word of that.
    """
    from huggingface_hub import ModelCardData

    results = [one for name, told in facts.evaluations.items() if not told.known for one in _results(facts, name, told)]
    return ModelCardData(
        model_name=facts.experiment,
        library_name="keras",
        pipeline_tag="image-classification",
        license=facts.licence_id,
        tags=["image-classification", "transfer-learning", "transfercli", facts.base],
        metrics=list(dict.fromkeys(HUB_METRICS.get(name, name) for name in facts.shown)),
        eval_results=results or None,
    )


def _results(facts: CardFacts, name: str, told: EvaluationFacts) -> Iterator[EvalResult]:
    from huggingface_hub import EvalResult

    for metric, value in told.metrics.items():
        if value is not None:
            yield EvalResult(
                task_type="image-classification",
                task_name="Image classification",
                dataset_type="imagefolder",
                dataset_name=facts.experiment,
                dataset_split=name,
                metric_type=HUB_METRICS.get(metric, metric),
                metric_name=metric,
                metric_value=value,
            )


def limits(facts: CardFacts) -> Iterator[str]:
    """What a user has to know before trusting it, in Markdown: each a sentence or two."""
    few = {label: n for label, found in facts.counts.items() if (n := found.get("train", 0)) < FEW}
    if few:
        named = [f"{escaped(label)} ({n})" for label, n in sorted(few.items(), key=lambda one: one[1])]
        yield f"It learnt these classes from fewer than {FEW} images each: {_listed(named)}."
    if not facts.evaluations:
        yield "It was exported without an evaluation of the model as it is, so nothing here says how good it is."
    telling = {name: told for name, told in facts.evaluations.items() if name != CHOSEN_BY} or facts.evaluations
    for name, told in telling.items():
        yield from _limits_of(name, told)
    if facts.spec.confidence is None:
        yield "No confidence was right often enough on the validation images: asked to abstain, it answers nothing."


def _limits_of(name: str, told: EvaluationFacts) -> Iterator[str]:
    """What one evaluation says against the model: absent and weak classes, weak slices, strange images."""
    name = escaped(name)
    for side, effect in KNOWN_BY.items():
        if count := told.known.get(side):
            yield f"The run {effect} on {count} of the {told.examples} images of {name}: its metrics there are too optimistic."
    if absent := [escaped(row.label) for row in told.per_class if not row.support]:
        yield f"Nothing is known of these classes on {name}, which has no image of them: {_listed(absent)}."
    known = sorted((row.recall, row.label) for row in told.per_class if row.recall is not None)
    # Those as weak as the last of them, too: three of seven that are never found would hide four.
    weak = [one for one in known if one[0] < 1 and one[0] <= known[:WEAKEST][-1][0]]
    if weak:
        named = [f"{escaped(label)} ({100 * recall:.1f}% found)" for recall, label in weak]
        yield f"Its weakest classes on {name}: {_listed(named)}."
    whole = told.metrics.get("accuracy")
    for part in told.slices:
        value, bounds = part.metrics.get("accuracy"), part.intervals.get("accuracy")
        if whole is not None and value is not None and bounds and bounds[1] < whole:
            where = f"{escaped(part.slice)} {escaped(part.value)}"
            yield f"It is worse on a part of {name}, {where}: accuracy {value:.4f}."
    if told.out_of_distribution:
        yield (
            f"{100 * told.out_of_distribution.strange:.1f}% of the images of {name} are unlike those of validation"
            " (5% of those are, by construction). The run itself tells such images apart by their energy;"
            " an artefact cannot."
        )


def _listed(words: Sequence[str]) -> str:
    return first_of(words, MOST_LISTED)
