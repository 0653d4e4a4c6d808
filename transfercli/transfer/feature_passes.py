"""Passes of images through frozen prefixes that the phases of a training will read, known before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from transfercli.models.classifier import Classifier
from transfercli.models.surgery import cut_below
from transfercli.training.frozen import layers_of, lowest_trained
from transfercli.training.phases import Phase
from transfercli.transfer.features.prefix import Prefix
from transfercli.transfer.features.views import Views, views_of
from transfercli.transfer.phase_builder import PhaseBuilder
from transfercli.transfer.probe.solved_phases import SOLVERS

# Uses of an image by a training, which decide the features that it needs.
TRAINING, VALIDATION, AUXILIARY = "train", "validation", "auxiliary"
LABELLED = frozenset({TRAINING, VALIDATION})


@dataclass(frozen=True)
class FeaturePass:
    """Pass through a prefix. views: of each image, None for the image itself; uses: of the images that it is for."""

    prefix: Prefix
    views: Views | None
    uses: frozenset[str]


def feature_passes(builder: PhaseBuilder, phases: Sequence[Phase]) -> list[FeaturePass]:
    """Return the passes whose features the phases will read from the cache, each once.

    Features of layers that an earlier phase changes cannot be computed before it: they are left out, with a message, as
    are those that a training would not cache. Raises `ConfigError` as `PhaseBuilder` does.
    """
    passes, changed = list[FeaturePass](), set[str]()
    for phase in phases:
        trained = set() if phase.kind in SOLVERS else set(layers_of(builder.classifier, phase))
        if changed - trained:
            builder.reporter.info(
                f"the features of the phase that trains {phase.unfreeze} follow from layers that an earlier phase"
                " changes: the training computes them"
            )
        elif phase.kind == "train":
            passes += _of_trained(builder, phase)
        else:
            prefix = builder.prefix_of(builder.cut_after_base())
            passes.append(FeaturePass(prefix, None, LABELLED | {AUXILIARY}))
        changed |= trained
    return _merged(passes)


def _of_trained(builder: PhaseBuilder, phase: Phase) -> list[FeaturePass]:
    """Return the passes of a phase that trains by gradients: views of the training images, and validation images."""
    classifier: Classifier = builder.classifier
    cut = cut_below(classifier, lowest_trained(classifier, phase))
    views = views_of(builder.inputs.augmentation, builder.inputs.augment, phase.epochs)
    if cut is None or builder.reason_not_cached(cut, phase, views):
        return []
    prefix = builder.prefix_of(cut)
    if views is None:
        return [FeaturePass(prefix, None, LABELLED)]
    return [
        FeaturePass(prefix, views, frozenset({TRAINING})),
        FeaturePass(prefix, None, frozenset({VALIDATION})),
    ]


def _merged(passes: Sequence[FeaturePass]) -> list[FeaturePass]:
    """Return one pass for those with the same prefix and augmentation; more views of an image hold the fewer."""
    found: dict[tuple[str, str | None], FeaturePass] = {}
    for one in passes:
        key = one.prefix.cut.key, one.views.key if one.views else None
        other = found.get(key, one)
        more = max((one, other), key=lambda each: each.views.count if each.views else 0)
        found[key] = replace(more, uses=one.uses | other.uses)
    return list(found.values())
