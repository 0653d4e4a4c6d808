"""The model card: a README.md for the Hugging Face Hub, with its metadata.

The content is from the run's files only; nothing is measured here. After Mitchell et al. 2019, "Model Cards for Model
Reporting".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from transfercli.data.dataset import KNOWN_BY
from transfercli.data.image import STRETCH
from transfercli.data.image_notes import CONVERTED
from transfercli.export.card.facts import CardFacts, EvaluationFacts
from transfercli.export.card.markdown import code, escaped, one_line
from transfercli.export.formats.registry import FORMATS
from transfercli.export.formats.snippets import RESIZING, SEVERAL_LABELS, reading
from transfercli.text import first_of

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

FILE = "README.md"
MARK = "<!-- Written by transfercli export; the next export writes it anew. -->"
TEMPLATES = Path(__file__).parent / "templates"
FEW = 50  # a card warns of classes with fewer training images
SELECTION_SPLIT = "validation"  # the best epoch was selected on it, so its metrics are optimistic
WEAKEST, MOST_LISTED, MOST_CLASSES = 3, 20, 200
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Words:
    """Words of a task in the card.

    noun, nouns: of what an image has; decisive: the metric to state first; by_class: the metric that orders classes
    task_name: of its results on the Hub; tags: of the model there
    """

    noun: str
    nouns: str
    decisive: str
    by_class: str
    task_name: str
    tags: tuple[str, ...] = ()


METRIC_NAMES = {
    "accuracy": "accuracy",
    "recall": "recall",
    "map": "mean average precision",
    "ap": "average precision",
}
CLASSES = Words("class", "classes", "accuracy", "recall", "Image classification")
LABELS = Words("label", "labels", "map", "ap", "Multi-label image classification", ("multi-label",))


def words_of(facts: CardFacts) -> Words:
    """Return the words of the task."""
    return LABELS if facts.spec.decisions else CLASSES


# Names of our metrics at hf.co/metrics; the others keep their own names.
HUB_METRICS = {
    "macro_f1": "f1",
    "weighted_f1": "f1",
    "macro_precision": "precision",
    "macro_recall": "recall",
    "brier": "brier_score",
    "mcc": "matthews_correlation",
    "micro_f1": "f1",
    "micro_precision": "precision",
    "micro_recall": "recall",
    "macro_auroc": "roc_auc",
}


def model_card(facts: CardFacts) -> str:
    """Return the text of the file: a block of YAML, then Markdown."""
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
        words=words_of(facts),
        main=next(iter(facts.evaluations.items()), None),
        limits=list(limits(facts)),
        formats=FORMATS,
        reading=reading(facts.spec.background),
        resizing=RESIZING[facts.spec.resize],
        several_labels=SEVERAL_LABELS,
        metric_names=METRIC_NAMES,
        splits=SPLITS,
        most_classes=MOST_CLASSES,
        mark=MARK,
    )
    return str(ModelCard(f"---\n{metadata(facts).to_yaml()}\n---\n{body}"))


def metadata(facts: CardFacts) -> ModelCardData:
    """Return the metadata that the Hub reads: task, library, licence, and the metrics of the evaluations.

    The metrics are the honest ones, because the Hub cannot show a warning with them; without any, there are none.
    """
    from huggingface_hub import ModelCardData

    unseen = {name: evaluation for name, evaluation in facts.evaluations.items() if evaluation.is_honest}
    results = [result for name, evaluation in unseen.items() for result in _results(facts, name, evaluation)]
    return ModelCardData(
        model_name=facts.experiment,
        library_name="keras",
        pipeline_tag="image-classification",
        license=facts.licence_id,
        tags=["image-classification", *words_of(facts).tags, "transfer-learning", "transfercli", facts.base],
        metrics=list(dict.fromkeys(HUB_METRICS.get(name, name) for name in facts.shown)),
        eval_results=results or None,
    )


def _results(facts: CardFacts, name: str, evaluation: EvaluationFacts) -> Iterator[EvalResult]:
    from huggingface_hub import EvalResult

    for metric, value in evaluation.judged[1].items():
        if value is not None:
            yield EvalResult(
                task_type="image-classification",
                task_name=words_of(facts).task_name,
                dataset_type="imagefolder",
                dataset_name=facts.experiment,
                dataset_split=name,
                metric_type=HUB_METRICS.get(metric, metric),
                metric_name=metric,
                metric_value=value,
            )


def limits(facts: CardFacts) -> Iterator[str]:
    """Yield each limit of the model that a user should know, one or two sentences of Markdown."""
    words = words_of(facts)
    train = {label: counts.get("train", 0) for label, counts in facts.counts.items()}
    few = sorted(((count, label) for label, count in train.items() if count < FEW), key=lambda pair: pair[0])
    if few:
        named = [f"{escaped(label)} ({count})" for count, label in few]
        yield f"These {words.nouns} have fewer than {FEW} training images each: {_listed(named)}."
    if not facts.evaluations:
        quality = METRIC_NAMES[words.decisive]
        yield f"It was exported without an evaluation of this model, so its {quality} is not known."
    others = {name: evaluation for name, evaluation in facts.evaluations.items() if name != SELECTION_SPLIT}
    for name, evaluation in (others or facts.evaluations).items():
        yield from _evaluation_limits(escaped(name), evaluation, words)
    yield from _reading_limits(facts)
    yield from _unknown_limits(facts)
    if facts.spec.confidence is None:
        yield (
            "No confidence reached the target on images held out from training, so with abstention it answers nothing."
        )


def _unknown_limits(facts: CardFacts) -> Iterator[str]:
    """Yield how far unlike images are recognised by the artefacts; nothing if the run has no score but the energy."""
    if facts.spec.unknown is None:
        return
    without = [artefact.format for artefact in facts.artefacts if artefact.unknown is None]
    if len(without) < len(facts.artefacts):
        auroc = facts.unknown_auroc
        measured = "" if auroc is None else f" On classes that were left out of the fit, its AUROC was {auroc:.3f}."
        yield (
            "An image is unlike the training images if the output `unknown` is above"
            f" {facts.spec.unknown['threshold']:.6g}.{measured} Images of things that resemble the classes often stay"
            " below."
        )
    if without:
        yield f"These artefacts do not recognise unlike images, as they have no output `unknown`: {_listed(without)}."


def _reading_limits(facts: CardFacts) -> Iterator[str]:
    """Yield the differences between `transfercli predict` and other ways to read an image that matter for its data."""
    notes = facts.record.data.notes
    if count := notes.get(CONVERTED, 0):
        yield (
            f"{count} of its images had a colour profile other than sRGB. `transfercli predict` converts the colours; "
            "`serve_bytes` and the code above do not: convert the files first."
        )
    if facts.spec.levels == STRETCH:
        yield (
            "16-bit samples are stretched to the bits that they use (`data.levels: stretch`) by `transfercli predict`. "
            "The code above does not stretch them, and `serve_bytes` refuses PNG files of 16 bits."
        )


def _evaluation_limits(name: str, evaluation: EvaluationFacts, words: Words) -> Iterator[str]:
    """Yield the limits that one evaluation shows: absent and weak classes or labels, weak slices, strange images."""
    if known := [f"{effect} {evaluation.known[use]}" for use, effect in KNOWN_BY.items() if evaluation.known.get(use)]:
        images = f"{' and '.join(known)} of the {evaluation.examples} images of {name}"
        yield f"The run or an ancestor {images}: its metrics there are too optimistic."
    if not evaluation.honest:
        yield f"The evaluation on {name} did not look for images that an ancestor learnt from: evaluate the run again."
    yield from (f"{escaped(gap[0].upper() + gap[1:])}." for gap in evaluation.known_gaps if gap)
    if absent := [escaped(row.label) for row in evaluation.per_class if not row.support]:
        yield f"These {words.nouns} were not evaluated, as {name} has no image of them: {_listed(absent)}."
    scores = [(getattr(row, words.by_class), row.label) for row in evaluation.per_class]
    scores = sorted((score, label) for score, label in scores if score is not None)
    # With ties of the last class: listing three of seven classes of recall 0 would hide four.
    weak = [(score, label) for score, label in scores if score < 1 and score <= scores[:WEAKEST][-1][0]]
    if weak:
        named = [f"{escaped(label)} ({100 * score:.1f}%)" for score, label in weak]
        yield f"The {words.nouns} of the lowest {METRIC_NAMES[words.by_class]} on {name}: {_listed(named)}."
    whole = evaluation.metrics.get(words.decisive)
    for part in evaluation.slices:
        value, bounds = part.metrics.get(words.decisive), part.intervals.get(words.decisive)
        if whole is not None and value is not None and bounds and bounds[1] < whole:
            title = f"{escaped(part.slice)} {escaped(part.value)}"
            yield f"It is worse on a part of {name}, {title}: {METRIC_NAMES[words.decisive]} {value:.4f}."
    if evaluation.out_of_distribution:
        yield (
            f"{100 * evaluation.out_of_distribution.strange:.1f}% of the images of {name} are out of distribution (at"
            " most 5% of images like those of the training are expected to be)."
        )


def _listed(words: Sequence[str]) -> str:
    return first_of(words, MOST_LISTED)
