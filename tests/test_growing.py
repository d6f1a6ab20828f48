"""What every model that grows promises, at every stage."""

import itertools

import by_hand
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_hand import SIZES, close, compiled, images, params_of, same, stages

from vae_jax import losses, models, objectives
from vae_jax.models import growing, pyramid

pytestmark = pytest.mark.usefixtures("unoptimised")
# Square, padded to a rectangle with empty cells, in colour.
SHAPES = [(8, 8, 1), (5, 3, 1), (6, 4, 3)]
OBJECTIVE = objectives.elbo("analytic", 1)
every_model = pytest.mark.parametrize("name", models.GROWING)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
every_option = pytest.mark.parametrize(
    "options",
    [
        {},
        {"residual": True, "group_norm": True},
        {"independent_stages": True, "detach_residual": True},
    ],
    ids=lambda options: ",".join(options) or "plain",
)


def uncropped(pixels, grids, stage):
    """Pixels where they belong on the whole grid, and what the crop left out as 0."""
    grid = jnp.zeros((len(pixels), *grids.grid(stage), pixels.shape[-1]))
    _, pull_back = jax.vjp(lambda whole: grids.crop(whole, stage), grid)
    return pull_back(pixels)[0]


@every_model
@every_option
def test_a_stage_enters_without_a_change(name, options, key, hparams):
    shape = (5, 3, 1)
    grids, x = pyramid.build(shape, 2, 8), images(shape)
    records = stages(name, shape, **options)
    params = params_of(records[0])
    for old, new in itertools.pairwise(records):
        was, is_now = (
            compiled(model.apply)(params, x, key, jnp.float32(alpha))
            for model, alpha in ((old, 1.0), (new, 0.0))
        )
        expected = pyramid.up(uncropped(was.pixels, grids, old.stage))
        same(is_now.pixels, grids.crop(expected, new.stage))
        for before, after in zip(was.latents, is_now.latents, strict=False):
            same(before[:3], after[:3])  # z, posterior, prior


@every_model
@every_shape
def test_the_loss_is_continuous_where_a_stage_enters(name, shape, key, hparams):
    records, x = stages(name, shape), images(shape)
    params = params_of(records[0])
    at_end, at_start = (hparams._replace(alpha=jnp.float32(a)) for a in (1.0, 0.0))
    for old, new in itertools.pairwise(records):
        was, is_now = (
            compiled(lambda p, h, m=model: OBJECTIVE(m, p, x, key, h)[0])(params, h)
            for model, h in ((old, at_end), (new, at_start))
        )
        np.testing.assert_allclose(is_now, was, rtol=1e-5)  # float32


@every_model
@every_option
def test_gradients_of_stages_not_yet_reached_are_zero(name, options, key, hparams):
    records = stages(name, (5, 3, 1), "gaussian", sigma_learnable=True, **options)
    x = images((5, 3, 1))
    params = params_of(records[0])
    halfway = hparams._replace(alpha=jnp.float32(0.5))
    for model in records:

        def loss(params, model=model):
            return OBJECTIVE(model, params, x, key, halfway)[0].sum()

        for part, groups in compiled(jax.grad(loss))(params).items():
            for group, tree in groups.items():
                moves = [np.asarray(leaf).any() for leaf in jax.tree.leaves(tree)]
                index = int(group.removeprefix("stage_"))
                # A likelihood's own parameters are of its stage alone.
                if part == "likelihood":
                    assert all(moves) == any(moves) == (index == model.stage)
                else:
                    assert any(moves) == (index <= model.stage)


@every_model
@every_shape
@pytest.mark.parametrize("recon", ["bce", "gaussian"])
def test_the_last_stage_has_the_bound_of_the_image_itself(
    name, shape, recon, key, hparams
):
    model, x = stages(name, shape, recon)[-1], images(shape)

    @compiled
    def both(params):
        values, terms = OBJECTIVE(model, params, x, key, hparams)
        out = model.apply(params, x, jax.random.split(key)[0], hparams.alpha)
        return values, terms, out

    values, terms, out = both(params_of(model))
    assert out.pixels.shape == x.shape
    if recon == "bce":
        recon_nll = losses.bernoulli_nll(out.pixels, x)
    else:
        recon_nll = losses.gaussian_nll(out.pixels, jnp.float32(0.0), x)
    kl = sum(losses.kl_analytic(*latent.posterior) for latent in out.latents)
    close(terms["elbo"], -(recon_nll + kl))
    close(values, -terms["elbo"])


@every_model
@every_shape
@pytest.mark.parametrize("stage", [0, 1])
def test_earlier_stages_weigh_every_cell_by_its_true_pixels(
    name, shape, stage, key, hparams
):
    model, x = stages(name, shape)[stage], images(shape)
    grids, params = pyramid.build(shape, 2, 8), params_of(model)
    target, weight = model.observe(x)
    level = grids.levels(x)[stage]
    same(uncropped(target, grids, stage), level)
    same(uncropped(weight, grids, stage), grids.weight(stage))

    @compiled
    def both(params):
        out = model.apply(params, x, jax.random.split(key)[0], hparams.alpha)
        return out.pixels, OBJECTIVE(model, params, x, key, hparams)[1]["recon"]

    pixels, recon = both(params)
    logits = np.asarray(uncropped(pixels, grids, stage), np.float64)
    nll = np.logaddexp(0.0, logits) - logits * np.asarray(level)
    close(recon, (nll * grids.weight(stage)).sum((1, 2, 3)))


@every_model
@every_shape
def test_what_a_stage_sees_is_enlarged_to_the_image(name, shape):
    x, grids = images(shape), pyramid.build(shape, 2, 8)
    for model in stages(name, shape):
        seen = model.observe(x)[0]
        enlarged = model.enlarge(seen)
        assert enlarged.shape == x.shape
        same(enlarged, grids.enlarge(seen, model.stage))
    same(enlarged, x)


@every_model
def test_the_entering_group_alone_has_less_weight(name, key):
    for model in stages(name, (5, 3, 1)):
        params, x = params_of(model), images((5, 3, 1))
        latents = jax.eval_shape(model.encode, params, x, key, jnp.float32(0.25))
        assert len(latents) == (model.stage + 1 if name == "resprovae" else 1)
        latents = compiled(model.encode)(params, x, key, jnp.float32(0.25))
        weights = [float(latent.weight) for latent in latents]
        enters = name == "resprovae" and model.stage > 0
        assert weights[:-1] == [1.0] * (len(weights) - 1)
        assert weights[-1] == (0.25 if enters else 1.0)


@every_model
def test_all_stages_share_one_tree(name, key):
    records = stages(name, (5, 3, 1), "gaussian", sigma_learnable=True)
    first, *others = (compiled(model.init)(key) for model in records)
    groups = {f"stage_{stage}" for stage in range(3)}
    assert set(first["net"]) == set(first["likelihood"]) == groups
    for other in others:
        same(first, other)
    for model in records:
        numbered = {"likelihood": {f"stage_{stage}": stage for stage in range(3)}}
        assert model.likelihood_params(numbered) == model.stage
        assert model.num_stages == 3


@every_model
def test_the_first_parameters_of_a_stage_do_not_depend_on_later_stages(name, key):
    few, many = (
        compiled(stages(name, (4, 4, 1), final_res=res)[0].init)(key) for res in (4, 8)
    )
    assert len(few["net"]) == 2
    same(few["net"], {group: many["net"][group] for group in few["net"]})


@every_model
def test_no_two_layers_start_alike(name, key):
    model = stages(name, (8, 8, 1), base_ch=2)[0]  # every stage has the same sizes
    params = compiled(model.init)(key)
    firsts = [float(leaf.ravel()[0]) for leaf in jax.tree.leaves(params)]
    drawn = [first for first in firsts if first != 0]  # biases start at 0
    assert len(set(drawn)) == len(drawn) > 10


@pytest.mark.parametrize(
    ("channels", "size"),
    [(3, 3), (8, 4), (12, 4), (18, 6), (25, 5), (30, 5), (7, 7)],
)
def test_groups_are_of_four_channels_or_of_as_few_more_as_divide_them(channels, size):
    class Activated(nn.Module):
        @nn.compact
        def __call__(self, h):
            return growing._activated(h, group_norm=True)

    x = np.random.default_rng(0).normal(size=(1, 2, 2, channels)).astype(np.float32)
    found = Activated().init_with_output(jax.random.key(0), jnp.asarray(x))[0]
    groups = x.reshape(2, 2, -1, size)
    mean, variance = groups.mean((0, 1, 3)), groups.var((0, 1, 3))
    normal = (groups - mean[:, None]) / np.sqrt(variance[:, None] + 1e-6)
    expected = np.where(normal > 0, normal, 0.2 * normal).reshape(x.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)  # float32


@pytest.mark.parametrize("group_norm", [False, True])
def test_residual_blocks_add_a_second_convolution_and_a_way_around(group_norm, key):
    h = jax.random.normal(key, (2, 4, 4, 8))
    shrink = growing.Shrink(12, residual=True, group_norm=group_norm)
    grow = growing.Grow(12, residual=True, group_norm=group_norm)

    def activated(h):
        if group_norm:  # with neither scale nor shift to begin with
            groups = h.reshape(*h.shape[:3], -1, 4)
            mean = groups.mean((1, 2, 4), keepdims=True)
            variance = groups.var((1, 2, 4), keepdims=True)
            h = ((groups - mean) / jnp.sqrt(variance + 1e-6)).reshape(h.shape)
        return by_hand.leaky(h)

    def both(params_of_shrink, params_of_grow, h):
        p, q = params_of_shrink["params"], params_of_grow["params"]
        new = activated(by_hand.conv(p["Conv_0"], h))
        new = by_hand.pooled(activated(by_hand.conv(p["Conv_1"], new)))
        around = by_hand.conv(p["Conv_2"], by_hand.pooled(h))
        shrunk = shrink.apply(params_of_shrink, h), (new + around) / 2**0.5
        new = activated(by_hand.conv(q["UpConv_0"], by_hand.doubled(h)))
        new = activated(by_hand.conv(q["Conv_0"], new))
        around = by_hand.conv(q["Conv_1"], by_hand.doubled(h))
        return shrunk, (grow.apply(params_of_grow, h), (new + around) / 2**0.5)

    params = [compiled(block.init)(key, h) for block in (shrink, grow)]
    for ours, expected in compiled(both)(*params, h):
        close(ours, expected)


@every_model
def test_area_scales_earlier_stages_to_the_last_grid(name):
    area = [m.loss_scale for m in stages(name, (5, 3, 1))]
    none = [m.loss_scale for m in stages(name, (5, 3, 1), stage_loss_scale="none")]
    assert area == [16.0, 4.0, 1.0]  # 8 by 4 cells over 2 by 1, 4 by 2, 8 by 4
    assert none == [1.0, 1.0, 1.0]


@every_model
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min_ch": 6}, "model.min_ch: must be at most model.base_ch, 5, got 6"),
        ({"final_res": 4}, "model.final_res: must be at least 5, the longer side"),
        ({"final_res": 12}, "model.final_res: must be model.start_res, 2, times a"),
        (
            {"stage_loss_scale": "mean"},
            "loss.stage_loss_scale: must be one of none, area, got 'mean'",
        ),
    ],
)
def test_sizes_that_do_not_fit_together_are_refused(name, change, message):
    assert SIZES["base_ch"] == 5
    with pytest.raises(ValueError, match=message):
        stages(name, (5, 3, 1), **change)
