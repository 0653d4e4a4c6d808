"""Fit of a recognised file to a base, from the names and shapes of its header."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from transfercli.errors import ArtefactError, ConfigError
from transfercli.models.weights.foreign.recognition import Recognised, recognise
from transfercli.models.weights.foreign.registry import SCHEMES
from transfercli.models.weights.foreign.scheme import Shape
from transfercli.text import clipped, first_of

# Last parts of the names that PyTorch gives the weights of a layer.
LAST_PARTS = (".weight", ".bias", ".running_mean", ".running_var")
AUTO = "base: auto takes the base that the file's names show"
# Of bases whose tensors have the same names and shapes.
DIFFER = "they differ in what no name shows: the pixels they were trained on, padding or activation"


def recognised_names(shapes: Mapping[str, Shape], title: str, required: bool) -> Recognised | None:
    """Return the scheme, the prefix and the bases of a file; None if its names are not those of PyTorch.

    title: the file's name in messages. required: raise `ArtefactError` also if no name looks like PyTorch's.

    Raises `ArtefactError` if the names look like PyTorch's and no scheme has them, or are those of several networks.
    """
    found = recognise(shapes)
    if found or not (required or looks_like_pytorch(shapes)):
        return found
    known = dict.fromkeys(scheme.title for scheme in SCHEMES)
    patterns = list(dict.fromkeys(clipped(re.sub(r"\d+", "N", name)) for name in sorted(shapes)))
    raise ArtefactError(
        f"{title} has names of tensors that are not known: {first_of(patterns, 6)}",
        f"known are {'; '.join(known)}; and the names of this program and of Keras (model.weights.format: keras)",
    )


def looks_like_pytorch(shapes: Mapping[str, Shape]) -> bool:
    """Return True if most names end as those of PyTorch do; this program's have slashes."""
    like = [name for name in shapes if name.endswith(LAST_PARTS) and "/" not in name]
    return 2 * len(like) > len(shapes)


def check_base(recognised: Recognised, base: str) -> None:
    """Raise `ConfigError` if a file was written for another base, `ArtefactError` if it was for none in the table."""
    check_known_network(recognised)
    if base not in recognised.bases:
        raise ConfigError(
            f"model.base: {base}, but these are {recognised.description}: use base {' or '.join(recognised.bases)}",
            f"each network has its own padding, epsilon and preprocessing, so its weights fit no other base; {AUTO}",
        )


def check_known_network(recognised: Recognised) -> None:
    """Raise `ArtefactError` if the network of a file is none in the table of bases."""
    if not recognised.bases:
        title = recognised.scheme.title
        schemes = [scheme for scheme in SCHEMES if scheme.title == title]
        known = {member.network: base for scheme in schemes for base, member in scheme.members.items()}
        raise ArtefactError(
            f"model.weights: the file has {title}, but of a depth or width that no base has",
            f"known of these names are {', '.join(f'{network} ({base})' for network, base in known.items())}",
        )


def chosen_base(recognised: Recognised, hints: Sequence[str], names: Mapping[str, Sequence[str]]) -> str:
    """Return the base of a file, for `model.base: auto`.

    hints: names of the network that are known besides, such as that of the repository or of the file; they choose
    between bases whose tensors have the same names and shapes. names: base -> its names, here and elsewhere; one that
    several bases have chooses none of them.

    Raises `ConfigError` if several bases fit, `ArtefactError` if none does.
    """
    check_known_network(recognised)
    if len(recognised.bases) == 1:
        return recognised.bases[0]
    known = {base: {*names[base], *recognised.scheme.members[base].names} for base in recognised.bases}
    shared = Counter(name for some in known.values() for name in some)
    own = {base: [set(_words(name)) for name in some if shared[name] == 1] for base, some in known.items()}
    for hint in hints:
        words = set(_words(hint))
        fits = {base: max((len(name) for name in own[base] if name <= words), default=0) for base in recognised.bases}
        best = [base for base, count in fits.items() if count and count == max(fits.values())]
        if len(best) == 1:
            return best[0]
    raise ConfigError(
        f"model.base: auto, but the weights have {recognised.description}, and several bases have tensors of these"
        f" names and shapes: {', '.join(recognised.bases)}",
        f"name the base that the weights were trained with: {DIFFER}",
    )


def _words(name: str) -> list[str]:
    """Return the words and numbers of a name: tf_efficientnet_b0 -> tf, efficientnet, b, 0."""
    return re.findall(r"[a-z]+|\d+", name.lower())
