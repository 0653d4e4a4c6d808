"""Fit of a recognised file to a base, from the names and shapes of its header."""

from __future__ import annotations

from transfercli.errors import ArtefactError, ConfigError
from transfercli.models.weights.foreign.recognition import Recognised
from transfercli.models.weights.foreign.registry import SCHEMES


def check_base(recognised: Recognised, base: str) -> None:
    """Raise `ConfigError` if a file was written for another base, `ArtefactError` if it was for none in the table."""
    check_known_network(recognised)
    if base not in recognised.bases:
        raise ConfigError(
            f"model.base: {base}, but the weights have {recognised.description}",
            f"use base {' or '.join(recognised.bases)}; base: auto takes the base that the file's names show",
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
