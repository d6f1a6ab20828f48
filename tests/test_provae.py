"""ProVAE against its equations, and its number of parameters."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import (
    base,
    close,
    compiled,
    conv,
    doubled,
    grow,
    heads,
    images,
    params_of,
    same,
    shrink,
    spread,
    stages,
)

from vae_jax.models import pyramid


def by_hand(net, x, z, alpha, grids):
    """Posterior and pixels of stage 2 on its whole grid."""
    _, coarse, fine = grids.levels(x)
    h = alpha * shrink(net, 2, conv(net["stage_2"]["in"], fine))
    h += (1 - alpha) * conv(net["stage_1"]["in"], coarse)
    posterior = heads(net["stage_0"]["heads"], base(net, shrink(net, 1, h)))
    h = grow(net, 1, spread(net["stage_0"]["spread"], z, grids.grid(0)))
    pixels = alpha * conv(net["stage_2"]["out"], grow(net, 2, h))
    pixels += (1 - alpha) * doubled(conv(net["stage_1"]["out"], h))
    return posterior, pixels


@pytest.mark.parametrize("shape", [(8, 8, 1), (6, 4, 3)], ids=str)
def test_posterior_and_pixels_follow_the_equations(shape, key):
    model, x = stages("provae", shape)[2], images(shape)
    grids, z = pyramid.build(shape, 2, 8), jax.random.normal(key, (3, 2))

    @compiled
    def both(params, alpha):
        (latent,) = model.encode(params, x, None, alpha)
        posterior, pixels = by_hand(params["net"], x, z, alpha, grids)
        ours = tuple(latent.posterior), model.decode(params, (z,), alpha)
        return ours, (posterior, grids.crop(pixels, 2))

    close(*both(params_of(model), jnp.float32(0.3)))


def test_nothing_of_the_fade_is_left_when_it_is_over(key):
    model, x = stages("provae", (5, 3, 1))[2], images((5, 3, 1))

    def total(params):
        out = model.apply(params, x, key, jnp.float32(1.0))
        return jnp.square(out.pixels).sum(), out

    run = compiled(jax.grad(total, has_aux=True))
    params = params_of(model)
    gradient, out = run(params)
    faded = [gradient["net"]["stage_1"][head] for head in ("in", "out")]
    assert not any(leaf.any() for leaf in jax.tree.leaves(faded))
    assert gradient["net"]["stage_2"]["in"]["kernel"].any()
    other = jax.tree.map(lambda leaf: leaf, params)
    for head in ("in", "out"):
        old = other["net"]["stage_1"][head]
        other["net"]["stage_1"][head] = jax.tree.map(lambda leaf: leaf + 1.0, old)
    same(run(other)[1], out)


def test_group_norm_makes_features_independent_of_their_scale():
    # The first 3x3 convolution sees twice the features: its output doubles, but for
    # the bias, and is normalised again.
    model, x = stages("provae", (8, 8, 1), group_norm=True)[2], images((8, 8, 1))
    params = params_of(model)
    params["net"]["stage_2"]["in"]["bias"] *= 0.0
    params["net"]["stage_2"]["shrink"]["Conv_0"]["bias"] *= 0.0
    encode = compiled(lambda params, x: model.encode(params, x, None, 1.0)[0].z)
    # Not exact: the normalisation adds 1e-6 to the variance.
    np.testing.assert_allclose(encode(params, 2 * x), encode(params, x), rtol=1e-3)


def test_the_original_provae_has_its_number_of_parameters(key):
    model = stages(
        "provae",
        (28, 28, 1),
        z_dim=20,
        start_res=4,
        final_res=32,
        base_ch=128,
        min_ch=16,
    )[0]
    channels, flat = (128, 64, 32, 16), 4 * 4 * 128
    heads_of_images = sum((c + c) + (c + 1) for c in channels)
    pairs = list(itertools.pairwise(channels))
    shrinks = sum(9 * a * b + a for a, b in pairs)
    grows = sum(9 * a * b + b for a, b in pairs)
    bottom = (9 * 128 * 128 + 128) + 2 * (flat * 20 + 20) + (20 * flat + flat)
    shapes = jax.eval_shape(model.init, key)
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert count == heads_of_images + shrinks + grows + bottom == 467_148
