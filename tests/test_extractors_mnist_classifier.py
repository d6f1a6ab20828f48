"""The digit classifier in the package as an extractor."""

import hashlib
import re
import struct

import jax
import numpy as np
import pytest
import real_data

from vae_jax import data
from vae_jax.data import digits, npz
from vae_jax.extractors import fit_mnist_classifier, mnist_classifier
from vae_jax.models import classifier


@pytest.fixture(scope="module")
def extractor():
    return mnist_classifier.build()


@pytest.fixture(scope="module")
def drawn():
    """The 1797 digits of the package, twice as large in the middle of 28x28."""
    images, labels = digits.load().train
    border = ((0, 0), (6, 6), (6, 6), (0, 0))
    return data.Split(np.pad(images.repeat(2, 1).repeat(2, 2), border), labels)


@pytest.fixture
def copy(tmp_path):
    """Writes the weights with one changed, to a file of their own."""

    def write(name, change):
        names = npz.names(mnist_classifier.WEIGHTS)
        arrays = npz.read(mnist_classifier.WEIGHTS, names)
        arrays[name] = change(np.copy(arrays[name]))
        npz.write(tmp_path / "copy.npz", arrays)
        return tmp_path / "copy.npz"

    return write


def test_it_says_what_it_is(extractor):
    assert extractor[:3] == ("mnist_classifier", mnist_classifier.SHA256, 64)


@real_data.needs("MNIST")
def test_the_weights_classify_9930_of_the_10000_test_images_or_more():
    wanted = data.Wanted(None, None, seed=0, image_size=None, channels=0, num_images=0)
    cut = {"valid_size": 0, "test_size": 0, "binarize": "none", "limit": 0}
    test = data.load("mnist", wanted, **cut).test
    params = mnist_classifier.load(mnist_classifier.WEIGHTS)
    assert len(test.images) == 10_000
    assert fit_mnist_classifier.accuracy(params, test) >= 0.993


def test_the_weights_know_digits_of_other_writers_at_a_coarser_resolution(drawn):
    params = mnist_classifier.load(mnist_classifier.WEIGHTS)
    # 0.934 was measured, 0.400 with the images turned by half a circle; 0.1 is chance.
    assert fit_mnist_classifier.accuracy(params, drawn) > 0.9


def test_features_are_those_that_were_recorded(extractor, drawn):
    found = extractor.features(drawn.images[:3])
    assert found.dtype == np.float64
    assert found.shape == (3, 64)
    # The first four of each, recorded once on a CPU. The largest of these 192 is 12.4,
    # and sums in another order were seen to move it by 6e-6.
    expected = [
        [-1.47844, -4.72073, -3.32475, 2.58403],
        [-5.26883, -4.23562, -2.22731, 0.50061],
        [-4.49035, -6.50657, -2.63629, 1.70453],
    ]
    np.testing.assert_allclose(found[:, :4], expected, rtol=0, atol=1e-4)


def test_no_feature_is_a_function_of_the_others(extractor, drawn):
    features = extractor.features(drawn.images)
    # 1.1e4 and 3.0e8 were measured. One that is a sum of others up to the rounding of
    # float32 makes it 1e14. 65 images are the fewest that can give full rank.
    for some, largest in (features, 1e5), (features[:65], 1e9):
        assert np.linalg.cond(np.cov(some, rowvar=False)) < largest


@pytest.mark.parametrize("batch", [1, 3, 4, 12, 50])
def test_features_of_an_image_do_not_depend_on_its_batch(
    extractor, drawn, monkeypatch, batch
):
    expected = extractor.features(drawn.images[:12])
    monkeypatch.setattr(mnist_classifier, "BATCH", batch)
    found = extractor.features(drawn.images[:12])
    assert found.shape == (12, 64)
    # float32: another batch size may mean another order of sums
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_features_are_multiplied_in_full_float32(extractor, drawn, monkeypatch):
    precisions = []

    def features(params, images):
        precisions.append(jax.config.jax_default_matmul_precision)
        return np.zeros((len(images), 64), np.float32)

    monkeypatch.setattr(mnist_classifier, "_features", features)
    extractor.features(drawn.images[:1])
    assert precisions == ["float32"]


@pytest.mark.parametrize(
    "shape", [(3, 32, 32, 1), (3, 28, 28, 3), (3, 8, 8, 1), (0, 28, 28, 1), (3, 28, 28)]
)
def test_images_of_another_shape_are_refused(extractor, shape):
    said = (
        "mnist_classifier: images must be [N, 28, 28, 1] and not none, "
        f"got shape {shape}; for other images there are the extractors pixels and "
        "inception"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        extractor.features(np.zeros(shape, np.uint8))


def test_images_that_are_not_bytes_are_refused(extractor):
    said = "^mnist_classifier: images must be uint8, got float32$"
    with pytest.raises(TypeError, match=said):
        extractor.features(np.zeros((3, 28, 28, 1), np.float32))


def test_weights_that_are_others_are_refused_with_both_sums(copy, monkeypatch):
    def flip(array):
        array.view(np.uint32)[0] ^= 1  # the last bit of one number
        return array

    path = copy("logits.bias", flip)
    got = mnist_classifier.digest(npz.read(path, npz.names(path)))
    assert got != mnist_classifier.SHA256
    said = (
        f"{path}: must hold the weights of mnist_classifier, "
        f"sha256 {mnist_classifier.SHA256}, got others, sha256 {got}"
    )
    monkeypatch.setattr(mnist_classifier, "WEIGHTS", path)
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        mnist_classifier.build()


def test_the_same_weights_in_another_file_are_accepted(copy):
    path = copy("logits.bias", lambda array: array)
    found = mnist_classifier.load(path)
    assert jax.tree.map(lambda p: (p.shape, p.dtype), found) == jax.tree.map(
        lambda s: (s.shape, s.dtype), classifier.shapes()
    )


def test_a_damaged_file_is_refused(tmp_path):
    content = mnist_classifier.WEIGHTS.read_bytes()
    path = tmp_path / "damaged.npz"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=f"^{path}: must be a whole npz file, got "):
        mnist_classifier.load(path)
    middle = len(content) // 2
    path.write_bytes(content[:middle] + b"\0\1\2\3" + content[middle + 4 :])
    with pytest.raises(ValueError, match=f"^{path}: must be a whole npz file, got "):
        mnist_classifier.load(path)


def test_a_file_without_one_of_the_layers_is_refused(tmp_path):
    path = tmp_path / "other.npz"
    npz.write(path, {"conv_0.bias": np.zeros(24, np.float32)})
    with pytest.raises(ValueError, match=f"^{path}: must hold the plain arrays "):
        mnist_classifier.load(path)


def test_a_missing_file_is_refused_with_the_command_that_makes_it(tmp_path):
    said = (
        f"{tmp_path / 'none.npz'}: must be the weights of mnist_classifier, which come "
        "with the package or from python -m vae_jax.extractors.fit_mnist_classifier, "
        "got no file"
    )
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(said)}$"):
        mnist_classifier.load(tmp_path / "none.npz")


def test_the_digest_is_that_of_names_types_shapes_and_numbers():
    rows = np.array([[1.5, 2.0], [3.0, 4.0]], np.float32)
    arrays = {"b": rows, "a": np.array([7], np.uint8)}
    content = b"a |u1 (1,) \x07" + b"b <f4 (2, 2) " + struct.pack("<4f", 1.5, 2, 3, 4)
    expected = hashlib.sha256(content).hexdigest()
    assert mnist_classifier.digest(arrays) == expected
    # In the other order of names, and of bytes in memory
    arrays = {"a": arrays["a"], "b": np.asfortranarray(rows)}
    assert mnist_classifier.digest(arrays) == expected


def test_the_weights_are_less_than_a_megabyte():
    assert mnist_classifier.WEIGHTS.stat().st_size < 1e6
