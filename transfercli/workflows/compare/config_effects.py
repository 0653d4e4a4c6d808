"""Effect of a config key on the difference between two runs: in which part of it a changed key is counted."""

from __future__ import annotations

from transfercli.config.differing_keys import AFTER_TRAINING, IMAGE_KEYS, is_below

NETWORK, CLASS_WEIGHTS, IMAGES, SEED, UNEXPLAINED, NONE = (
    "network",
    "class weights",
    "images",
    "seed",
    "unexplained",
    "none",
)
# Keys, or sections, by their effect on a head that is solved on features; all others are `UNEXPLAINED`.
_KEYS = {
    NETWORK: (
        "model.base",
        "model.weights",
        "model.head.pooling",
        "data.image_size",
        "data.channels",
        "data.resize",
        "data.background",
        "data.levels",
        "data.profiles",
        "data.max_megapixels",
    ),
    CLASS_WEIGHTS: ("training.class_weights", "training.sampling"),
    IMAGES: IMAGE_KEYS,
    SEED: ("seed",),
    NONE: (
        "name",
        "data.expect",
        "data.max_bad_fraction",
        "compute.cache",
        "compute.cache_dir",
        "compute.cache_max_gb",
        "compute.threads",
        *AFTER_TRAINING,
    ),
}


def effect_of_key(key: str, network: str) -> str:
    """Return the part in which a changed key is counted.

    network: `networks.Networks.kind`. A key that changes the network is a part of its own if each run's own network is
    used, has no effect if both runs have the same, and is unexplained otherwise.
    """
    effect = next((effect for effect, keys in _KEYS.items() if is_below(key, keys)), UNEXPLAINED)
    if effect != NETWORK:
        return effect
    return {"own": NETWORK, "shared": NONE}.get(network, UNEXPLAINED)
