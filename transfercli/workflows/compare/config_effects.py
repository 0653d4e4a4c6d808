"""Effect of a config key on the difference between two runs: in which part of it a changed key is counted."""

from __future__ import annotations

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
    IMAGES: (
        "data.train",
        "data.validation",
        "data.test",
        "data.split",
        "data.folds",
        "data.fold",
        "data.group",
        "data.columns",
        "data.path_template",
    ),
    SEED: ("seed",),
    NONE: (
        "name",
        "data.expect",
        "data.max_bad_fraction",
        "compute.cache",
        "compute.cache_dir",
        "compute.cache_max_gb",
        "compute.threads",
        "evaluation",
        "export",
        "retrain",
        "tracking",
    ),
}


def effect_of_key(key: str, network: str) -> str:
    """Return the part in which a changed key is counted.

    network: `networks.Networks.kind`. A key that changes the network is a part of its own if each run's own network is
    used, has no effect if both runs have the same, and is unexplained otherwise.
    """
    effect = next((effect for effect, keys in _KEYS.items() if _is_below(key, keys)), UNEXPLAINED)
    if effect != NETWORK:
        return effect
    return {"own": NETWORK, "shared": NONE}.get(network, UNEXPLAINED)


def _is_below(key: str, keys: tuple[str, ...]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in keys)
