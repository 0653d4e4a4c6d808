"""Parameter transfer: what is copied, what is not, and that it is said."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.config.schema import HeadConfig
from transfercli.errors import ArtefactError

OLD, NEW = ("a", "b", "c"), ("c", "x", "a")


def build(labels: tuple[str, ...] = OLD, channels: int = 3, base: str = "small_cnn", **head):
    import keras

    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier

    keras.utils.set_random_seed(hash((labels, channels)) % 1000)
    return build_classifier(Architecture(base, (32, 32), channels, HeadConfig(**head), labels))


@pytest.fixture(scope="module")
def donor():
    from transfercli.models.tensor_names import read_tensors

    return read_tensors(build(hidden=[8]))


def after(classifier, donor, **how):
    from transfercli.models.tensor_names import read_tensors
    from transfercli.transfer.transplant import transplant

    before = read_tensors(classifier)
    report = transplant(classifier, donor, **how)
    now = read_tensors(classifier)
    changed = {name for name in now if not np.array_equal(now[name], before[name])}
    return report, now, changed


def test_the_base_is_copied_and_a_new_head_stays_fresh(donor) -> None:
    report, now, changed = after(build(NEW, hidden=[8]), donor)
    assert all(np.array_equal(now[name], donor[name]) for name in donor if name.startswith("base/"))
    assert {name for name in changed if name.startswith("head/")} == {"head/logits/kernel"}
    assert report.count("copied") == 6


def test_a_new_output_layer_on_a_copied_base_starts_at_zero(donor) -> None:
    _, now, _ = after(build(NEW, hidden=[8]), donor)
    assert not now["head/logits/kernel"].any()
    assert now["head/hidden1/kernel"].any()


def test_another_number_of_channels_keeps_the_first_kernel_fresh_and_says_why(donor) -> None:
    report, now, _ = after(build(channels=1, hidden=[8]), donor)
    line = next(line for line in report.lines if line.tensor == "base/conv1/kernel")
    assert line.action == "fresh"
    assert "[3, 3, 3, 32] does not fit [3, 3, 1, 32]" in line.reason
    assert report.fresh_layers == ("conv1",)
    assert np.array_equal(now["base/conv2/kernel"], donor["base/conv2/kernel"])


def test_a_kept_head_moves_its_rows_with_their_labels(donor) -> None:
    fresh = build(NEW, hidden=[8])
    _, now, _ = after(fresh, donor, head="keep", donor_labels=OLD)
    kernel = donor["head/logits/kernel"]
    assert np.array_equal(now["head/logits/kernel"][:, 0], kernel[:, 2])  # c
    assert np.array_equal(now["head/logits/kernel"][:, 2], kernel[:, 0])  # a
    assert np.array_equal(now["head/hidden1/kernel"], donor["head/hidden1/kernel"])


def test_an_extended_head_keeps_the_old_rows_and_adds_fresh_ones(donor) -> None:
    report, now, _ = after(build((*OLD, "d"), hidden=[8]), donor, head="extend", donor_labels=OLD)
    assert now["head/logits/kernel"].shape == (8, 4)
    assert np.array_equal(now["head/logits/kernel"][:, :3], donor["head/logits/kernel"])
    assert "3 known labels kept, 1 new" in next(x.reason for x in report.lines if x.tensor == "head/logits/kernel")


def test_stages_above_until_start_fresh(donor) -> None:
    report, now, changed = after(build(NEW, hidden=[8]), donor, until="conv2")
    assert report.fresh_layers == ("conv3",)
    assert {name.split("/")[1] for name in changed if name.startswith("base/")} == {"conv1", "conv2"}
    assert not np.array_equal(now["base/conv3/kernel"], donor["base/conv3/kernel"])


def test_a_source_of_which_nothing_fits_is_refused(donor) -> None:
    with pytest.raises(ArtefactError, match="no tensor of the source fits the base resnet18"):
        after(build(base="resnet18"), donor)


def transformer(size: tuple[int, int] = (64, 64), labels: tuple[str, ...] = OLD):
    import keras

    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier

    keras.utils.set_random_seed(size[0])
    return build_classifier(Architecture("tiny_vit", size, 3, HeadConfig(pooling="token"), labels))


@pytest.mark.usefixtures("small_transformers")
@pytest.mark.parametrize("size, grid", [((96, 96), (6, 6)), ((32, 128), (2, 8)), ((71, 64), (4, 4))])
def test_positions_of_patches_are_resampled_to_images_of_another_size(size, grid) -> None:
    from transfercli.models.tensor_names import read_tensors

    donor = read_tensors(transformer())
    row = np.linspace(-1, 1, 4, dtype="float32")  # positions that grow from left to right, in every channel
    donor["base/positions/embeddings"] = np.repeat(np.tile(row, 4)[:, None], 24, axis=1)
    report, now, _ = after(transformer(size), donor, donor_image_size=(64, 64))
    positions = now["base/positions/embeddings"].reshape(*grid, 24)
    assert np.allclose(positions, positions[:1, :, :1], atol=1e-5)  # equal in every row and channel
    assert (np.diff(positions[0, :, 0]) > 0).all()
    assert abs(positions[0, :, 0].mean()) < 1e-5
    line = next(line for line in report.lines if line.tensor == "base/positions/embeddings")
    same = grid == (4, 4)
    expected = "same name and shape" if same else f"resampled from 4 x 4 to {grid[0]} x {grid[1]} patches"
    assert (line.action, line.reason) == ("copied", expected)
    assert report.fresh_layers == ()


@pytest.mark.usefixtures("small_transformers")
def test_positions_of_as_many_patches_in_another_grid_are_resampled_too() -> None:
    from transfercli.models.tensor_names import read_tensors

    donor = read_tensors(transformer((32, 128)))
    report, _, _ = after(transformer(), donor, donor_image_size=(32, 128))
    assert any("resampled from 2 x 8 to 4 x 4" in line.reason for line in report.lines)


@pytest.mark.usefixtures("small_transformers")
def test_positions_of_an_unknown_grid_are_refused() -> None:
    from transfercli.models.tensor_names import read_tensors

    donor = read_tensors(transformer((32, 48)))
    with pytest.raises(ArtefactError, match=r"positions of 6 patches.* tiny_vit has 4 x 4 patches"):
        after(transformer(), donor)
