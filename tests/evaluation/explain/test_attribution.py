"""Heat maps by gradients and by occlusion light up where the thing is that makes the class."""

from __future__ import annotations

import numpy as np
import pytest

from tests.models.transformers import tiny_transformer
from transfercli.config.schema import HeadConfig
from transfercli.evaluation.explain import attribution
from transfercli.evaluation.explain.heatmaps import resized
from transfercli.evaluation.predictions import Predictions
from transfercli.models.bases import BASES
from transfercli.reporting import Reporter

SIDE, PATCH = 32, 10


def scenes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise, class 0; noise with a striped patch somewhere, class 1; and the patch's corners [N, 2]."""
    draw = np.random.default_rng(seed)
    images = draw.integers(90, 160, (count, SIDE, SIDE, 3)).astype("uint8")
    targets = np.arange(count) % 2
    corners = draw.integers(0, SIDE - PATCH, (count, 2))
    for image, target, (top, left) in zip(images, targets, corners, strict=True):
        if target:
            image[top : top + PATCH : 2, left : left + PATCH] = 255
            image[top + 1 : top + PATCH : 2, left : left + PATCH] = 0
    return images, targets, corners


@pytest.fixture(scope="module", params=["softmax", "sigmoid", "transformer"])
def trained(request):
    """A small network that finds the patch: a CNN with either head, or a transformer of 4 x 4 patches."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(BASES, "tiny_vit", tiny_transformer(patch=8, width=32, heads=2, depth=2))
        yield network("tiny_vit", 10) if request.param == "transformer" else network("small_cnn", 6, request.param)


def network(base: str, epochs: int, output: str = "softmax"):
    import keras

    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier

    keras.utils.set_random_seed(0)
    head = HeadConfig(output=output, pooling="token" if base == "tiny_vit" else "avg")
    classifier = build_classifier(Architecture(base, (SIDE, SIDE), 3, head, ("noise", "patch"), True))
    images, targets, _ = scenes(256, seed=0)
    classifier.predictor.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    classifier.predictor.fit(images, targets, batch_size=32, epochs=epochs, verbose=0)
    return classifier


@pytest.fixture(scope="module")
def seen(trained):
    """What it says of 40 other images, with the images and where their patches are."""
    images, targets, corners = scenes(40, seed=1)
    answers = trained.predictor.predict(images, verbose=0)
    paths = tuple(f"{n}.png" for n in range(len(images)))
    predictions = Predictions(paths, ("noise", "patch"), targets, answers)
    assert (predictions.predicted == targets).mean() > 0.9
    return predictions, images, corners


def inside(heat: np.ndarray, corner: np.ndarray) -> float:
    """How much hotter the patch is than the rest."""
    large = resized(heat, (SIDE, SIDE))
    mask = np.zeros((SIDE, SIDE), bool)
    mask[corner[0] : corner[0] + PATCH, corner[1] : corner[1] + PATCH] = True
    return float(large[mask].mean() / max(large[~mask].mean(), 1e-6))


def test_gradients_and_occlusion_light_up_where_the_patch_is(trained, seen) -> None:
    predictions, images, corners = seen
    patched = np.flatnonzero((predictions.targets == 1) & (predictions.predicted == 1))
    assert len(patched) >= 15
    method = attribution.gradient_method(trained)
    assert method.name == ("Patch gradient" if trained.name == "tiny_vit" else "Grad-CAM")
    heats = method.heats(images[patched], predictions.targets[patched])
    assert np.median([inside(heat, corners[n]) for heat, n in zip(heats, patched, strict=True)]) > 2
    covered = [attribution.occlusion_drops(trained, images[n], 1, 16, Reporter()) for n in patched[:6]]
    spread = [attribution.occlusion_map(drops, (SIDE, SIDE)) for drops in covered]
    assert np.median([inside(heat, corners[n]) for heat, n in zip(spread, patched, strict=False)]) > 2
    agreed = [attribution.rank_agreement(heat, drops) for heat, drops in zip(heats, covered, strict=False)]
    # The patches of the transformer are nearly as large as the object, so that few places differ.
    assert np.median([value for value in agreed if value is not None]) > (0 if trained.name == "tiny_vit" else 0.3)


def test_heats_are_shares_of_the_hottest_place_and_the_same_each_time(trained, seen) -> None:
    predictions, images, _ = seen
    first, second = (attribution.explain(trained, predictions, lambda i: images[i], 16, Reporter()) for _ in range(2))
    for n, one in first.items():
        assert one.heat.min() >= 0
        assert one.heat.max() in (0, 1)
        assert (one.heat == second[n].heat).all()
    assert sum(one.occlusion is not None for one in first.values()) == attribution.MOST_OCCLUDED


def test_what_it_costs_is_bounded_by_the_split(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[int] = []

    def heats(images: np.ndarray, classes: np.ndarray) -> np.ndarray:
        passed.append(len(images))
        return np.zeros((len(images), 4, 4), np.float32)

    def drops(*given: object) -> np.ndarray:
        passed.append(attribution.STEPS**2 + 1)
        return np.zeros((attribution.STEPS, attribution.STEPS), np.float32)

    monkeypatch.setattr(attribution, "gradient_method", lambda _: attribution.GradientMethod("any", heats))
    monkeypatch.setattr(attribution, "occlusion_drops", drops)
    draw = np.random.default_rng(0)
    for count, most in ((10, 24), (500, 50), (1000, 100)):
        passed.clear()
        shares = draw.dirichlet([1, 1, 1], count)
        predictions = Predictions(("x.png",) * count, ("a", "b", "c"), draw.integers(0, 3, count), shares)
        attribution.explain(None, predictions, lambda i: np.zeros((len(i), 224, 224, 3), np.uint8), 32, Reporter())
        assert 0 < sum(passed) <= most


def test_grad_cam_weighs_channels_by_their_mean_gradient() -> None:
    maps = np.array([[[[1.0, 5.0], [3.0, 0.0]], [[0.0, 0.0], [2.0, 1.0]]]], np.float32)
    gradients = np.zeros_like(maps)
    gradients[..., 0], gradients[0, 0, 0, 1] = 1.0, -2.0  # means: 1 and -0.5
    # channel 0 [1, 3, 0, 2] times 1, channel 1 [5, 0, 0, 1] times -0.5: [-1.5, 3, 0, 1.5], cut at 0, by 3
    assert np.allclose(attribution.grad_cam(maps, gradients), [[[0, 1], [0, 0.5]]])


def test_where_nothing_speaks_for_the_class_the_heat_is_even_and_agrees_with_nothing() -> None:
    maps = np.ones((1, 4, 4, 2), np.float32)
    heat = attribution.grad_cam(maps, -maps)[0]
    assert not heat.any()
    assert attribution.rank_agreement(heat, np.arange(25, dtype=np.float32).reshape(5, 5)) is None


def test_a_pixel_is_as_hot_as_the_squares_that_covered_it() -> None:
    drops = np.zeros((5, 5), np.float32)
    drops[0, 0] = 0.5
    heat = attribution.occlusion_map(drops, (60, 40))
    assert heat.shape == (60, 40)
    assert heat[0, 0] == 1  # covered by the first square alone
    assert not heat[20:, 15:].any()
    assert not attribution.occlusion_map(-drops, (60, 40)).any()


def test_activations_and_gradients_of_a_network_that_diverged_do_not_overflow() -> None:
    maps = np.array([[[[1e30], [5e29]], [[0], [0]]]], np.float32)
    with np.errstate(all="raise"):
        assert attribution.grad_cam(maps, np.full_like(maps, 1e30)).tolist() == [[[1, 0.5], [0, 0]]]
