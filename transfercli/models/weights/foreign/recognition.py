"""Recognition of a weight file by the names and shapes in its header."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from transfercli.errors import ArtefactError
from transfercli.models.weights.foreign.registry import SCHEMES
from transfercli.models.weights.foreign.rules import targets
from transfercli.models.weights.foreign.scheme import Scheme, Shape
from transfercli.text import clipped, first_of

# Of two copies of a network in one file, the first is the one that its authors use: the network that is trained rather
# than its slow copy (MoCo and its version 3, BYOL), and the slow copy rather than the network that is trained (DINO,
# averages of weights).
PREFERRED = (
    ("encoder_q.", "encoder_k."),
    ("base_encoder.", "momentum_encoder."),
    ("online_network.", "target_network."),
    ("teacher.", "student."),
    ("state_dict_ema.", "state_dict."),
    ("model_ema.", "model."),
)
# Added by PyTorch's DataParallel and torch.compile to the names of any network.
WRAPPERS = ("module.", "_orig_mod.")
MOST_COPIES = 16  # of a network in one file, which are compared


@dataclass(frozen=True)
class Recognised:
    """File whose names follow a scheme.

    prefix: before every name of the network, such as `module.`, or "".
    bases: the bases that the marks fit, usually one; empty for a network of the scheme that no base is.
    """

    scheme: Scheme
    prefix: str
    bases: tuple[str, ...]

    @property
    def networks(self) -> str:
        """The networks' names for people."""
        return " or ".join(dict.fromkeys(self.scheme.members[base].network for base in self.bases))

    @property
    def description(self) -> str:
        """The names and the network for people, such as "PyTorch names of a ResNet-50 v1.5"."""
        names, of, _ = self.scheme.title.partition(" of a")
        article = "an" if self.networks[:1] in "AEIO" else "a"
        return f"{names} of {article} {self.networks}" if of and self.bases else self.scheme.title

    def head_layer(self, names: Iterable[str]) -> str | None:
        """Return the name of the classification head's layer in a file with these tensors; None if it has no head."""
        names = tuple(names)
        return next((place for place in self._head_places if any(name.startswith(f"{place}.") for name in names)), None)

    def uses(self, name: str) -> bool:
        """Return True if a tensor of the file gives a weight of the base or of the classification head."""
        if any(name.startswith(f"{place}.") for place in self._head_places):
            return True
        return name.startswith(self.prefix) and any(targets(self.scheme.rules, name.removeprefix(self.prefix)))

    @property
    def _head_places(self) -> tuple[str, ...]:
        """Names that the head's layer may have: with the network's prefix, or with that without its last part.

        The second is the place beside the network, as in `resnet.encoder…` and `classifier.1.weight`.
        """
        head = self.scheme.head
        if head is None:
            return ()
        outer, dot, _ = self.prefix.removesuffix(".").rpartition(".")
        return f"{self.prefix}{head}", f"{outer}{dot}{head}"


def recognise(shapes: Mapping[str, Shape]) -> Recognised | None:
    """Return the scheme, the prefix and the bases of a file, from the shapes of its tensors by name; None if unknown.

    Raises `ArtefactError` if the file has several copies of the network and none is preferred.
    """
    found = [Recognised(scheme, prefix, _bases(scheme, prefix, shapes)) for scheme, prefix in _anchors(shapes)]
    known = [one for one in found if one.bases] or found
    prefixes = {one.prefix for one in known}
    if len(prefixes) <= MOST_COPIES:
        known = [one for one in known if not any(_copy_of(one.prefix, prefix) for prefix in prefixes)]
        prefixes = {one.prefix for one in known}
    if len(prefixes) > 1:
        starts = [clipped(prefix) if prefix else "no prefix" for prefix in sorted(prefixes)]
        raise ArtefactError(
            f"model.weights: the file holds {len(prefixes)} copies of a network: names that start with"
            f" {' and '.join(starts) if len(starts) < 4 else first_of(starts, 3)}",
            "save only the tensors of one of them",
        )
    return known[0] if known else None


def _anchors(shapes: Mapping[str, Shape]) -> Iterator[tuple[Scheme, str]]:
    """Yield each scheme with each prefix of its anchor in the file."""
    for scheme in SCHEMES:
        for name in shapes:
            prefix = name.removesuffix(scheme.anchor)
            if prefix != name and (not prefix or prefix.endswith(".")):
                yield scheme, prefix


def _bases(scheme: Scheme, prefix: str, shapes: Mapping[str, Shape]) -> tuple[str, ...]:
    """Return the members whose marks a file has."""
    return tuple(
        base
        for base, member in scheme.members.items()
        if all(shapes.get(prefix + name) == shape for name, shape in member.has.items())
        and not any(prefix + name in shapes for name in member.lacks)
    )


def _copy_of(prefix: str, other: str) -> bool:
    """Return True if `other` is the prefix of the copy that is preferred to `prefix`."""
    for wrapper in WRAPPERS:
        prefix, other = prefix.replace(wrapper, ""), other.replace(wrapper, "")
    return any(second in prefix and prefix.replace(second, first, 1) == other for first, second in PREFERRED)
