"""Augmentation inside the compiled step of JAX: each image is changed by draws that follow from its own key.

The layers are those of `augment.py`, run for all images at once, each image as if it were the only one of a batch. So
an operation does the same to an image as on the host, and its draws have the same distribution; they do not depend on
the other images of the batch, the image's place in it, or the number of devices or processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from transfercli.data.batching.augment import Augment, pixel_dtype
from transfercli.data.batching.mixup import MixDraws, Mixer

# Layers that a compiled step cannot run: AugMix draws with Python's generator, RandomCrop indexes by its draws,
# RandomElasticTransform keeps its generator for later. RandAugment computes all of its eleven operations twice for
# each image, and takes more than a minute to compile.
HOST_ONLY = frozenset({"AugMix", "RandAugment", "RandomCrop", "RandomElasticTransform"})


def image_keys(seed: int, epoch: int, rows: np.ndarray) -> np.ndarray:
    """Return the key of each image of an epoch, uint32 [n, 4]: two words of (seed, epoch), row, and repetition.

    rows: int [n], of the images in the split. An image that comes several times in the epoch has another key each time.
    """
    words = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint32)
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    repetition = np.empty(len(rows), np.uint32)
    repetition[order] = np.arange(len(rows)) - np.searchsorted(ordered, ordered)
    return np.column_stack([np.tile(words, (len(rows), 1)), rows.astype(np.uint32), repetition])


def in_step(augment: Augment) -> Augment | StepAugmentation:
    """Return an augmentation for the compiled step, or the same one for the host.

    With JAX it is the step, unless one of the layers is in `HOST_ONLY`; with TensorFlow it is the host.
    """
    import keras

    if keras.backend.backend() != "jax" or HOST_ONLY & {type(layer).__name__ for layer in augment.layers}:
        return augment
    return StepAugmentation(augment)


class StepAugmentation:
    """Augmentation of a batch of raw RGB images by operations that JAX can compile.

    soft: True if images are mixed; targets are then mixed, too.
    """

    def __init__(self, augment: Augment) -> None:
        self._augment = augment
        self.soft = augment.soft

    def targets_of(self, targets: np.ndarray) -> np.ndarray:
        """Return the targets of a batch as a call takes them: fractions, float32 [n, C], if images are mixed."""
        return self._augment.soft_targets(targets) if self.soft else targets

    def __call__(self, images: Any, keys: Any, targets: Any, weights: Any) -> tuple[Any, Any, Any]:
        """Return augmented images, uint8 [n, H, W, 3], and targets and weights, mixed if images are.

        keys: see `image_keys`. weights: of the rows, [n]. An image of weight 0 that fills up a batch behind all others
        is mixed with its like only.
        """
        import jax
        import jax.numpy as jnp

        keys = jax.vmap(_image_key)(keys)
        batch, shape = images.astype(pixel_dtype()), images.shape
        for number, (layer, generators) in enumerate(zip(self._augment.layers, self._augment.generators, strict=True)):
            own = jax.vmap(jax.random.fold_in, (0, None))(keys, number)
            if isinstance(layer, Mixer):
                drawn = _mix_draws(layer, own, weights)
                batch, targets, share = layer.mixed(batch, targets, drawn, jnp)
                weights = share[:, 0] * weights + (1 - share[:, 0]) * weights[drawn.partner]
            else:
                batch = _unfused(jax.vmap(partial(_changed, layer, generators)), batch, own)
        assert batch.shape == shape
        return jnp.rint(jnp.clip(batch, 0, 255)).astype(np.uint8), targets, weights


def _image_key(key: Any) -> Any:
    """Return the key of one image, uint32 [4], as a key of `jax.random`."""
    from jax import random

    return random.fold_in(random.fold_in(random.wrap_key_data(key[:2], impl="threefry2x32"), key[2]), key[3])


def _changed(layer: Any, generators: Sequence[Any], image: Any, key: Any) -> Any:
    """Return an image, float32 [H, W, 3], changed by a layer whose generators start from a key."""
    import keras
    from jax import random

    states = [random.key_data(random.fold_in(key, number)) for number in range(len(generators))]
    scope = keras.StatelessScope([(one.state, state) for one, state in zip(generators, states, strict=True)])
    with scope:
        return layer(image[None], training=True)[0]


def _unfused(change: Callable[[Any, Any], Any], batch: Any, keys: Any) -> Any:
    """Return the changed batch; XLA must not fuse the change with the next one.

    Fused layers that move pixels would compute every pixel again for each of its neighbours. On a processor, XLA drops
    barriers before it fuses, but it keeps a condition that it cannot foresee.
    """
    import jax
    import jax.numpy as jnp

    def branch(batch: Any, keys: Any) -> Any:
        return jax.lax.cond(jnp.isfinite(batch.max()), change, lambda batch, _: batch, batch, keys)

    def barrier(batch: Any, keys: Any) -> Any:
        return jax.lax.optimization_barrier(change(batch, keys))

    return jax.lax.platform_dependent(batch, keys, cpu=branch, default=barrier)


def _mix_draws(mixer: Mixer, keys: Any, weights: Any) -> MixDraws:
    """Return the draws that mix a batch; partners are a random permutation of it, as on the host."""
    import jax
    import jax.numpy as jnp
    from jax import random

    def draw(key: Any) -> tuple[Any, Any, Any]:
        place, share, mixes, centre = random.split(key, 4)
        own = random.beta(share, mixer.alpha, mixer.alpha)
        own = jnp.where(random.uniform(mixes) < mixer.probability, own, 1.0)
        return random.uniform(place), own, random.uniform(centre, (2,))

    place, share, centre = jax.vmap(draw)(keys)
    return MixDraws(jnp.argsort(jnp.where(weights > 0, place, jnp.inf)), share, centre.T)
