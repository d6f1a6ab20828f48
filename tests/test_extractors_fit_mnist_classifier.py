"""The training of the digit classifier, on made images."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import same

from vae_jax import data
from vae_jax.extractors import fit_mnist_classifier as fitting
from vae_jax.extractors import mnist_classifier
from vae_jax.models import classifier

ROWS = (2, 8, 14, 20, 25)


def bars(num, seed):
    """Noise with a bright bar in one of ten places, which is the label."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 100, (num, 28, 28, 1)).astype(np.uint8)
    labels = rng.integers(0, 10, num).astype(np.int32)
    for image, label in zip(images, labels, strict=True):
        # Too far apart for a shift to make one another.
        row, half = ROWS[label % 5], 14 * (label // 5)
        image[row : row + 2, half : half + 14] = 255
    return data.Split(images, labels)


@pytest.fixture(scope="module")
def fitted():
    return fitting.fit(bars(320, seed=0), 7, epochs=10, batch_size=32)


def test_it_learns_to_classify_images_that_it_has_not_seen(fitted):
    unseen = bars(1000, seed=1)
    before = jax.device_get(jax.jit(classifier.init)(jax.random.key(0)))
    assert fitting.accuracy(before, unseen) < 0.3
    assert fitting.accuracy(fitted, unseen) > 0.9


def test_the_seed_decides_every_bit(fitted):
    again = fitting.fit(bars(320, seed=0), 7, epochs=10, batch_size=32)
    same(again, fitted)
    other = fitting.fit(bars(320, seed=0), 8, epochs=10, batch_size=32)
    assert (other["conv_0"]["kernel"] != fitted["conv_0"]["kernel"]).any()


def test_it_prints_the_loss_of_each_epoch(capsys):
    fitting.fit(bars(64, seed=0), 0, epochs=2, batch_size=32)
    said = capsys.readouterr().out
    assert re.fullmatch(r"(epoch [12] of 2: \d\.\d{4} nats\n){2}", said)


def test_accuracy_is_the_share_of_right_classes(monkeypatch):
    # Zeros everywhere but for the bias of class 3: that is the answer to every image.
    params = jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), classifier.shapes())
    params["logits"]["bias"][3] = 1
    monkeypatch.setattr(fitting, "BATCH", 4)  # five images: one batch and a tail
    images = np.zeros((5, 28, 28, 1), np.uint8)
    split = data.Split(images, np.array([3, 3, 1, 0, 3], np.int32))
    assert fitting.accuracy(params, split) == 3 / 5


def test_the_loss_is_the_cross_entropy_in_nats():
    # All logits are 0 but that of class 3, which is log 2: probabilities 1/11 and 2/11.
    params = jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), classifier.shapes())
    params["logits"]["bias"][3] = np.log(2)
    images = jnp.zeros((2, 28, 28, 1), jnp.uint8)
    found = jax.jit(fitting.cross_entropy)(params, images, jnp.array([3, 4]))
    expected = (np.log(11 / 2) + np.log(11)) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-6)  # float32


def test_images_move_by_two_pixels_at_most_along_both_axes(key):
    one = np.zeros((28, 28, 1), np.uint8)
    one[10, 20] = 255
    found = np.asarray(fitting.shifted(key, jnp.asarray(np.stack([one] * 1000))))
    # Each of the 25 places has probability 1/25: one is missed by 1000 draws with a
    # probability of 25 * 0.96^1000 < 1e-16.
    where = {tuple(map(int, place)) for place in np.argwhere(found[..., 0])[:, 1:]}
    assert where == {(10 + i, 20 + j) for i in range(-2, 3) for j in range(-2, 3)}
    assert (found.sum((1, 2, 3)) == 255).all()


def test_what_comes_in_behind_a_moved_image_is_black(key):
    white = jnp.full((100, 28, 28, 1), 255, jnp.uint8)
    found = np.asarray(fitting.shifted(key, white))[..., 0]
    # Whole rows and columns of white, as many as the shift leaves: 26 to 28.
    for axis in (1, 2):
        assert set(found.max(axis).astype(bool).sum(1)) == {26, 27, 28}
    assert set(np.unique(found)) == {0, 255}


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match=r"^seed: must be 0 or more, got -1$"):
        fitting.fit(bars(64, seed=0), -1, epochs=1, batch_size=32)


def test_the_command_writes_weights_that_load_by_the_sum_that_it_prints(
    monkeypatch, tmp_path, capsys
):
    part = bars(160, seed=0)
    asked = {}

    def load(name, wanted, **cut):
        asked.update(name=name, directory=wanted.directory, **cut)
        return data.Dataset(name, "made", part, part, part)

    monkeypatch.setattr(data, "load", load)
    monkeypatch.setattr(fitting, "EPOCHS", 1)
    path = tmp_path / "new" / "weights.npz"
    assert fitting.main(["--seed=3", f"--out={path}"]) == 0
    assert asked["name"] == "mnist"
    assert asked["valid_size"] == asked["limit"] == 0
    assert asked["directory"] is None  # the cache, or $VAE_JAX_DATA_DIR

    said = capsys.readouterr().out
    sha256 = re.search(r"^sha256 ([0-9a-f]{64})$", said, re.M)[1]
    params = mnist_classifier.load(path, sha256)
    same(params, fitting.fit(part, 3, epochs=1, batch_size=fitting.BATCH))
    share = fitting.accuracy(params, part)
    assert f"test accuracy {share:.2%}\n" in said
    assert f"{path}: {path.stat().st_size} bytes\n" in said
    assert [p.name for p in path.parent.iterdir()] == ["weights.npz"]
