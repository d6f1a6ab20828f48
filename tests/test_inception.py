"""InceptionV3 against the same network in torch, and its resize against a loop."""

import inception_rule
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from inception_rule import IMAGES

from vae_jax.extractors import inception_params
from vae_jax.models import inception

# Norm, projection and some features of each image, by `python tests/inception_rule.py`
# with torch 2.13.0 (CPU), torchvision 0.28.0, torch-fidelity 0.4.0 and numpy 2.4.6.
# pytorch-fid 0.3.0 gave the same to the bit, behind the same resize and scale.
# fmt: off
EXPECTED = {
    "grey": [
        [200.79474, 17.04905, 5.20729, 0.03004, 7.56311, 8.9703, 0.97256, 10.58403,
         22.70328, 0.02187, 0.00012, 0.18933, 13.41335, 0.00568],
        [200.9162, 18.1964, 5.23991, 0.0514, 7.3122, 8.88057, 0.91981, 11.20004,
         22.1997, 0.04094, 0.0, 0.20964, 13.23619, 0.01561],
    ],
    "rgb": [
        [300.4749, 30.95568, 8.08807, 0.04684, 10.47531, 13.88234, 1.49206, 16.90136,
         31.83436, 0.24032, 0.0, 0.23714, 17.13233, 0.0],
    ],
    "large": [
        [286.12579, 32.13763, 7.53564, 0.10643, 10.38852, 13.36331, 1.52424, 15.52942,
         29.65697, 0.17786, 0.00782, 0.23306, 17.40207, 0.0],
    ],
    "wide": [
        [202.29116, 16.81703, 4.94262, 0.07146, 7.7085, 9.07112, 0.89778, 11.1789,
         22.26145, 0.07229, 0.0, 0.26442, 13.69764, 0.12697],
    ],
}
# fmt: on
# Of the names and shapes of torch-fidelity's state dict, by the same program.
NAMES_DIGEST = "760681d791cb624e1bf7a2e802a68933dd17aa5e3109fcf498d9dfa521bc10d7"

prepare = jax.jit(inception.prepare)
resize = jax.jit(inception.resize)


@pytest.fixture(scope="module")
def params():
    """The rule's checkpoint, converted."""
    shapes = inception_params.checkpoint_shapes()
    tensors = {name: inception_rule.tensor(name, s) for name, s in shapes.items()}
    return jax.device_put(inception_params.from_checkpoint(tensors, "rule"))


@pytest.fixture(scope="module")
def network(params):
    """Of what ``prepare`` makes of one image; compiled once for all sizes of it."""
    apply = jax.jit(lambda p, x: inception.Inception().apply({"params": p}, x))
    return lambda x: np.concatenate([apply(params, row[None]) for row in x])


@pytest.mark.parametrize("name", IMAGES)
def test_features_are_those_of_the_network_in_torch(network, name):
    found = network(prepare(inception_rule.images(name)))
    assert found.shape == (IMAGES[name][0], inception.DIMS)
    # Features reach 40, and both programs compute in float32: against torch in float64,
    # each is off by 1e-5 at most; the expected are rounded to 5e-6. The norm and the
    # projection add up 2048 of those errors, which differ in sign.
    summary = inception_rule.summary(found)
    np.testing.assert_allclose(summary, EXPECTED[name], rtol=1e-6, atol=1e-4)


def test_features_are_the_network_s_of_prepared_images(network, params):
    images = inception_rule.images("grey")
    found = np.asarray(jax.jit(inception.features)(params, images))
    # The same float32 operations, in other batches and fused otherwise; see above.
    np.testing.assert_allclose(found, network(prepare(images)), rtol=1e-6, atol=3e-5)


def test_the_checkpoint_s_names_and_shapes_are_those_of_the_network_in_torch():
    found = inception_params.checkpoint_shapes() | inception_params.unused_shapes()
    # 94 units of a kernel and 4 statistics and a count, and the classifier's two.
    assert len(found) == 94 * 6 + 2
    assert inception_rule.names_digest(found) == NAMES_DIGEST


def test_there_are_as_many_parameters_as_in_torch_less_one_bias_for_each_channel():
    # Without the classifiers torchvision's has 21,785,568. A batch norm has a scale and
    # a shift for each of the 17,216 channels, of which the shift is left.
    sizes = [leaf.size for leaf in jax.tree.leaves(inception.shapes())]
    assert sum(sizes) == 21_785_568 - 17_216


def test_a_grey_image_is_the_same_one_three_times():
    images = inception_rule.images("grey")
    three = np.repeat(images, 3, axis=-1)
    # The compiler may sum the two in another order: two of float32's steps at 1.
    np.testing.assert_allclose(prepare(images), prepare(three), rtol=0, atol=2.4e-7)


def test_the_network_sees_bytes_less_128_over_128():
    images = np.full((1, 5, 7, 3), [0, 128, 255], np.uint8)
    expected = np.broadcast_to(np.float32([-1, 0, 127 / 128]), (1, 299, 299, 3))
    np.testing.assert_array_equal(prepare(images), expected)


def test_products_are_never_rounded_to_fewer_bits_than_float32_has():
    # Only an accelerator would round; what it is asked for shows on any machine.
    images = jax.ShapeDtypeStruct((1, 28, 28, 1), jnp.uint8)
    text = jax.jit(inception.features).lower(inception.shapes(), images).as_text()
    # One convolution of two operands for each unit.
    assert text.count("stablehlo.convolution") == 94
    assert text.count("#stablehlo<precision HIGHEST>") == 2 * 94


@pytest.mark.parametrize("channels", [2, 4])
def test_other_numbers_of_channels_are_refused(channels):
    images = jnp.zeros((1, 8, 8, channels), jnp.uint8)
    message = f"^images: must have 1 or 3 channels, got {channels}$"
    with pytest.raises(ValueError, match=message):
        inception.prepare(images)


def in_a_loop(image):
    """The definition, pixel by pixel: what lies at (i * height / 299, j * width / 299).

    Behind the last pixel of a row or column, that pixel goes on.
    """
    height, width = image.shape
    padded = np.pad(image.astype(np.float64), ((0, 1), (0, 1)), mode="edge")
    result = np.empty((299, 299))
    for i in range(299):
        y, p = divmod(i * height, 299)
        for j in range(299):
            x, q = divmod(j * width, 299)
            (a, b), (c, d) = padded[y : y + 2, x : x + 2]
            above, below = a + (b - a) * q / 299, c + (d - c) * q / 299
            result[i, j] = above + (below - above) * p / 299
    return result


@pytest.mark.parametrize(
    "size", [(28, 28), (32, 32), (28, 20), (1, 1), (2, 299), (340, 301), (1000, 20)]
)
def test_resize_is_a_bilinear_look_up_from_the_first_pixel_on(size):
    image = np.random.default_rng(0).integers(0, 256, size).astype(np.float32)
    found = np.asarray(resize(image[None, :, :, None]))[0, :, :, 0]
    # The place is a float32, off by half a unit in its last place: 2^-24 of the size.
    # Times the greatest step of 255, in both directions; and three roundings of 2^-16.
    bound = 255 * sum(size) * 2**-24 + 3 * 255 * 2**-24
    np.testing.assert_allclose(found, in_a_loop(image), rtol=0, atol=bound)


def test_resize_begins_at_the_first_pixel_and_ends_before_the_last():
    found = np.asarray(resize(jnp.array([0.0, 299.0]).reshape(1, 1, 2, 1)))[0, 0, :, 0]
    # i * 2 / 299 of the way to the second pixel, until it is reached; with centred
    # pixels the first 75 would be 0.
    expected = np.minimum(2.0 * np.arange(299), 299.0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)  # a few roundings


def test_resize_of_twice_the_size_takes_every_other_pixel():
    image = (
        np.random.default_rng(0).integers(0, 256, (1, 598, 598, 3)).astype("float32")
    )
    np.testing.assert_array_equal(resize(image), image[:, ::2, ::2])
