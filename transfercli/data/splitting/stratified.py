"""Stratified splits and folds: exact shares of every class, drawn with a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from transfercli.data.splitting.allocation import Allocation


def allocate(allocation: Allocation, shares: Mapping[str, float], seed: int) -> None:
    """Assign every free unit to the subset that lacks most images of its class.

    Rare classes come first, and within a class large units. Units that cannot become test images come before all
    others, so that the others can still fill the test split. Single images reach the exact shares, groups as nearly as
    their sizes allow.

    Args:
        shares: subset -> fraction of the images of every class.
    """
    for label in sorted(allocation.classes, key=lambda label: (len(allocation.classes[label]), label)):
        quota = quotas(len(allocation.classes[label]), shares, f"{seed}/{label}")
        waiting = [unit for unit in allocation.free_of(label) if unit.pixels[0] not in allocation.subset_of]
        order = {
            unit.key: (allocation.is_allowed(unit, "test"), -allocation.sizes(unit)[label], hash_of(seed, unit.key))
            for unit in waiting
        }
        for unit in sorted(waiting, key=lambda unit: order[unit.key]):
            present = allocation.counts[label]
            allowed = [subset for subset in quota if allocation.is_allowed(unit, subset)]
            allocation.assign(unit, max(allowed, key=lambda subset: quota[subset] - present[subset]))


def quotas(count: int, shares: Mapping[str, float], salt: str) -> dict[str, int]:
    """Divide `count` images by the largest-remainder method, with at least one per subset if `count` allows.

    Equal remainders are ordered by a hash with `salt`, so that small classes do not all favour the same subset.

    Returns subset -> number of images.
    """
    exact = {subset: count * share for subset, share in shares.items()}
    quota = {subset: int(value + 1e-9) for subset, value in exact.items()}
    by_remainder = sorted(exact, key=lambda subset: (round(quota[subset] - exact[subset], 9), hash_of(salt, subset)))
    for subset in by_remainder[: max(count - sum(quota.values()), 0)]:
        quota[subset] += 1
    for subset in quota:
        largest = max(quota, key=quota.__getitem__)
        if not quota[subset] and quota[largest] > 1:
            quota[subset], quota[largest] = 1, quota[largest] - 1
    return quota


def hash_of(*parts: object) -> str:
    """Return a hash of some values, by which an order follows from a seed."""
    return hashlib.sha256("/".join(map(str, parts)).encode("utf-8", "surrogateescape")).hexdigest()
