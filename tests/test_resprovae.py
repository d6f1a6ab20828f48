"""ResProVAE against its equations, their gradient, and its options."""

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
    dense,
    doubled,
    grow,
    heads,
    images,
    params_of,
    same,
    shrink,
    stages,
)
from jax import lax

from vae_jax import objectives
from vae_jax.models import pyramid

OBJECTIVE = objectives.elbo("analytic", 1)
SHAPE = (5, 3, 1)


def negative_elbo_by_hand(net, x, key, alpha, grids, *, bernoulli, detach, apart):
    """-log p(x_2 | m_2) + KL_0 + KL_1 + alpha KL_2, with nothing of the package."""
    kls, m, joined = 0.0, None, 0.0
    for k, level in enumerate(grids.levels(x)):
        stage, seen = net[f"stage_{k}"], level
        if k:
            m = doubled(m)
            image = jax.nn.sigmoid(m) if bernoulli else m
            image = lax.stop_gradient(image) if detach else image
            seen = jnp.concatenate([level - image, image], axis=-1)
        e = conv(stage["in"], seen)
        for j in range(k, 0, -1):
            e = shrink(net, j, e)
        mean, logvar = heads(stage["heads"], base(net, e))
        noise = jax.random.normal(jax.random.fold_in(key, k), mean.shape)
        z = mean + jnp.exp(logvar / 2) * noise
        own = dense(stage["spread"]["dense"], z)
        joined = own if apart else joined + own
        h = jax.nn.relu(joined).reshape(len(z), *grids.grid(0), -1)
        for j in range(1, k + 1):
            h = grow(net, j, h)
        share = alpha if k == 2 else 1.0
        m = share * conv(stage["out"], h) + (m if k else 0.0)
        kls += share * (mean**2 + jnp.exp(logvar) - 1 - logvar).sum(1) / 2
    if bernoulli:
        nll = jnp.logaddexp(0.0, m) - m * level
    else:
        nll = (level - m) ** 2 / 2 + np.log(2 * np.pi) / 2
    return (nll * grids.weight(2)).sum((1, 2, 3)) + kls


@pytest.mark.parametrize(
    ("recon", "detach", "apart"),
    [
        ("bce", False, False),
        ("gaussian", False, False),
        ("bce", True, False),
        ("bce", False, True),
    ],
)
def test_loss_and_gradient_are_those_of_the_bound_written_out(
    recon, detach, apart, key, hparams
):
    options = {"detach_residual": detach, "independent_stages": apart}
    model, x = stages("resprovae", SHAPE, recon, **options)[2], images(SHAPE)
    grids = pyramid.build(SHAPE, 2, 8)
    hparams = hparams._replace(alpha=jnp.float32(0.3))

    def ours(params):
        return OBJECTIVE(model, params, x, key, hparams)[0]

    def by_hand(params):
        draw_key = jax.random.split(key)[0]
        given = params["net"], x, draw_key, hparams.alpha, grids
        how = {"bernoulli": recon == "bce", "detach": detach, "apart": apart}
        return negative_elbo_by_hand(*given, **how)

    @compiled
    def both(params):
        pulled = [jax.vjp(f, params) for f in (ours, by_hand)]
        return [(y, pullback(jnp.ones_like(y))) for y, pullback in pulled]

    close(*both(params_of(model)), rtol=1e-4)


def test_detaching_changes_the_gradient_and_nothing_else(key, hparams):
    x = images(SHAPE)
    attached, detached = (
        stages("resprovae", SHAPE, detach_residual=detach)[2]
        for detach in (False, True)
    )

    def value_and_gradient(model):
        def loss(params):
            return OBJECTIVE(model, params, x, key, hparams)[0].sum()

        return compiled(jax.value_and_grad(loss))(params_of(model))

    (value, gradient), (again, biased) = map(value_and_gradient, (attached, detached))
    np.testing.assert_allclose(again, value, rtol=1e-6)  # float32
    out, other = (g["net"]["stage_0"]["out"]["kernel"] for g in (gradient, biased))
    assert abs(out - other).max() > 1e-3 * abs(out).max()
    # Nothing comes after the last stage that could read what it explains.
    close(*(g["net"]["stage_2"]["out"] for g in (gradient, biased)))


def test_a_new_stage_adds_nothing_until_it_has_learned_to(key):
    model = stages("resprovae", SHAPE)[2]
    params, zs = compiled(model.init)(key), model.sample_prior(None, key, 3)
    added, sums = compiled(model.residuals)(params, zs, 1.0)
    assert added[0].any()
    assert not any(each.any() for each in added[1:])
    same(sums[0], sums[-1])


def test_residuals_add_up_to_what_is_decoded(key):
    model = stages("resprovae", SHAPE)[2]
    params, zs = params_of(model), model.sample_prior(None, key, 3)
    alpha = jnp.float32(0.3)
    added, sums = compiled(model.residuals)(params, zs, alpha)
    close(sums, tuple(jnp.cumsum(jnp.stack(added), axis=0)))
    close(compiled(model.decode)(params, zs, alpha), sums[-1])
    assert len(added) == 3
    assert added[0].shape == (3, *SHAPE)


@pytest.mark.parametrize("stage", [0, 1])
def test_the_sum_up_to_a_stage_is_what_that_stage_decodes(stage, key):
    grids, (*_, last) = pyramid.build((8, 8, 1), 2, 8), stages("resprovae", (8, 8, 1))
    params, zs = params_of(last), last.sample_prior(None, key, 3)
    _, sums = compiled(last.residuals)(params, zs, 1.0)
    model = stages("resprovae", (8, 8, 1))[stage]
    pixels = compiled(model.decode)(params, zs[: stage + 1], 1.0)
    assert grids.num_stages == 3
    for _ in range(2 - stage):
        pixels = doubled(pixels)
    close(sums[stage], pixels)


@pytest.mark.parametrize("apart", [False, True])
def test_finer_stages_see_the_latents_of_coarser_ones_unless_independent(apart, key):
    model = stages("resprovae", SHAPE, independent_stages=apart)[2]
    params, zs = params_of(model), model.sample_prior(None, key, 3)
    other = (zs[0] + 1.0, *zs[1:])
    added, changed = (compiled(model.residuals)(params, z, 1.0)[0] for z in (zs, other))
    assert not np.array_equal(added[0], changed[0])
    for before, after in zip(added[1:], changed[1:], strict=True):
        assert np.array_equal(before, after) == apart


def test_a_coarser_record_refuses_the_latents_of_finer_stages(key):
    *_, middle, last = stages("resprovae", SHAPE)
    zs = last.sample_prior(None, key, 2)
    with pytest.raises(ValueError, match="zip"):
        middle.decode(params_of(middle), zs, 1.0)


def test_every_stage_may_have_its_own_number_of_latents(key):
    for model in stages("resprovae", SHAPE, z_dim=(4, 1, 3)):
        zs = model.sample_prior(None, key, 2)
        expected = [(2, 4), (2, 1), (2, 3)][: model.stage + 1]
        assert [z.shape for z in zs] == expected
        given = params_of(model), images(SHAPE), key, jnp.float32(1.0)
        latents = jax.eval_shape(model.encode, *given)
        assert [latent.z.shape[1] for latent in latents] == [n for _, n in expected]


def test_the_number_of_parameters_is_that_of_its_layers(key):
    sizes = {"start_res": 4, "final_res": 32, "base_ch": 128, "min_ch": 16}
    model = stages("resprovae", (28, 28, 1), z_dim=20, **sizes)[0]
    channels, flat = (128, 64, 32, 16), 4 * 4 * 128
    # Stage 0 reads the image alone, each later one two images; each gives one.
    expected = (128 + 128) + sum(2 * c + c for c in channels[1:])
    expected += sum(c + 1 for c in channels)
    # Mean and logvar of each stage, and its latents to features.
    expected += 4 * 2 * (flat * 20 + 20) + 4 * (20 * flat + flat)
    expected += 9 * 128 * 128 + 128
    for a, b in itertools.pairwise(channels):
        expected += (9 * a * b + a) + (9 * a * b + b)
    shapes = jax.eval_shape(model.init, key)
    count = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert count == expected == 842_164


def test_every_stage_adds_a_group_of_latents():
    groups = [model.z_dims for model in stages("resprovae", SHAPE)[:3]]
    assert groups == [(2,), (2, 2), (2, 2, 2)]
