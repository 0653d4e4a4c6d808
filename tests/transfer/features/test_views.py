"""Views: the augmented versions of an image that are cached."""

from __future__ import annotations

from typing import Any

import numpy as np

from transfercli.training.phases import Phase


def test_epochs_cycle_through_the_views_which_are_those_of_every_other_run(cached: Any) -> None:
    augmentation = {"preset": "light", "views": 2}
    first = cached.stages(cached.classifier(), augmentation=augmentation)
    stage = first(Phase("none", 6, 1e-2))
    assert first.cache.misses == 2 * 90 + 30
    seen = []
    for epoch in range(4):
        stage.batches.source.set_epoch(epoch)
        seen.append(stage.batches.source.read(np.arange(90)))
    assert np.array_equal(seen[0], seen[2])
    assert np.array_equal(seen[1], seen[3])
    assert not np.array_equal(seen[0], seen[1])
    again = cached.stages(cached.classifier(), augmentation=augmentation)
    again(Phase("none", 6, 1e-2))
    assert (again.cache.hits, again.cache.misses) == (2 * 90 + 30, 0)


def test_a_view_follows_from_the_pixels_and_its_number_whatever_is_beside_it(cached: Any) -> None:
    from transfercli.transfer.features.views import all_views, views_of

    common = cached.stages(cached.classifier(), augmentation={"preset": "light", "views": 3}).inputs
    rows = all_views(common.training.images, views_of(common.augmentation, common.augment, 10))
    together = rows.read(np.arange(12))
    assert all(np.array_equal(together[row], rows.read(np.array([row]))[0]) for row in (0, 5, 11))
    assert not np.array_equal(together[0], together[1])
