"""The training step and the compiled loop over steps."""

import functools
import itertools
import math

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small
from by_hand import compiled

from vae_jax import adam, models, objectives, pixels, schedules, train

pytestmark = pytest.mark.usefixtures("unoptimised")
SHAPE = (8, 8, 1)
BYTES = np.random.default_rng(0).integers(0, 256, (40, *SHAPE)).astype(np.uint8)
IMAGES = jnp.asarray(BYTES)
SEED, BATCH = 3, 8
SAVING = ({"microbatches": 4}, {"remat": True})
# What takes longest to compile is of the parts that others have.
AT_LENGTH = [
    pytest.param(name, marks=pytest.mark.slow) if name == "conv_hvae" else name
    for name in models.BUILDERS
]


@functools.cache
class Setup:
    """A small model with its step, its loop and its first state; compiled once."""

    def __init__(
        self,
        name="mlp",
        use_ema=False,
        schedule=("constant", 0, 1),
        first_step=0,
        remat=False,
        objective="elbo",
        tc_images=0,
        **fields,
    ):
        self.model = small.model(name, SHAPE, remat=remat)
        self.tx = adam.adam(1e-8)
        self.objective = objectives.build(
            objective, "analytic", 1, iw_samples=3, tc_images=tc_images
        )
        options = {
            "reduction": "sum",
            "scale": "unit",
            "dynamic_binarize": False,
            "microbatches": 1,
        }
        self.attempt = train.make_attempt(
            self.model,
            self.objective,
            schedules.make_schedule(*schedule),
            **(options | fields),
        )
        self.tried = compiled(self.attempt)
        step = train.make_step(self.attempt, self.tx, first_step=first_step)
        self.step = compiled(step)
        self.run_steps = train.make_run_steps(step)
        self.init = train.make_init(self.model, self.objective, self.tx, use_ema)
        self.first = self.init(jax.random.key(SEED))
        self.order = jnp.asarray(train.epoch_order(SEED, 0, len(IMAGES), BATCH))

    def begin(self):
        """A state for each caller: ``run_steps`` eats the one that it gets."""
        return jax.tree.map(jnp.copy, self.first)


def assert_close(a, b, rtol):
    def compare(x, y):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol)

    jax.tree.map(compare, a, b)


def assert_same(a, b):
    def compare(x, y):
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        np.testing.assert_array_equal(x, y)

    jax.tree.map(compare, a, b)


@pytest.mark.parametrize("name", AT_LENGTH)
def test_where_an_epoch_is_cut_does_not_change_a_bit(name, hparams, request):
    if name in ("mlp", "cnn"):
        request.getfixturevalue("optimised")
    setup = Setup(name, use_ema=True, dynamic_binarize=True)
    whole = setup.run_steps(setup.begin(), IMAGES, setup.order, 0, 5, hparams)
    for cuts in [(0, 1, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5)]:
        pieces = setup.begin()
        for start, stop in itertools.pairwise(cuts):
            pieces = setup.run_steps(pieces, IMAGES, setup.order, start, stop, hparams)
        assert_same(whole, pieces)


def test_the_loop_equals_steps_in_a_python_loop(hparams):
    setup = Setup()
    looped = setup.begin()
    for rows in setup.order:
        looped = setup.step(looped, IMAGES[rows], hparams)
    run = setup.run_steps(setup.begin(), IMAGES, setup.order, 0, 5, hparams)
    # Not bit for bit: XLA may fuse the two programs differently.
    assert_close(looped.params, run.params, rtol=1e-5)


def test_two_steps_equal_two_optimiser_updates_written_out(hparams):
    # Two, so that a stale optimiser state would show; optax's whole Adam beside ours.
    setup = Setup()
    tx, x = optax.adam(1e-3), jnp.asarray(IMAGES[:BATCH], jnp.float32) / 255
    state = setup.begin()
    params, opt_state = state.params, compiled(tx.init)(state.params)

    @compiled
    def update(params, opt_state, i):
        key = jax.random.split(jax.random.fold_in(state.key, i))[1]
        keys = jax.random.split(key, BATCH)

        def loss(params):
            return setup.objective(setup.model, params, x, keys, hparams)[0].mean()

        updates, opt_state = tx.update(jax.grad(loss)(params), opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    for i in range(2):
        params, opt_state = update(params, opt_state, i)

    for _ in range(2):
        state = setup.step(state, IMAGES[:BATCH], hparams)
    assert_close(state.params, params, rtol=1e-5)  # float32, another order of products


@pytest.mark.parametrize(
    "which",
    [{"tc_images": 40}, *({"objective": name} for name in objectives.NAMES)],
)
def test_changing_any_number_compiles_nothing(which, hparams):
    # In no other test with other shapes, so that its compilations count
    setup = Setup(scale="centred", **which)
    for i, field in enumerate(hparams._fields):
        changed = hparams._replace(**{field: jnp.float32(0.1 * i + 0.1)})
        setup.run_steps(setup.begin(), IMAGES, setup.order, i % 3, 4, changed)
    assert setup.run_steps._cache_size() == 1


@pytest.mark.parametrize(
    "field", ["lr", "beta", "free_bits", "capacity", "tc_weight", "clip_norm"]
)
def test_each_number_of_a_step_changes_the_parameters(field, hparams):
    setup = Setup(tc_images=40)
    changed = hparams._replace(**{field: jnp.float32(0.5)})
    states = [setup.step(setup.begin(), IMAGES[:8], h) for h in (hparams, changed)]
    # Adam forgets the scale of one gradient: a second step tells clipping from none.
    states = [
        setup.step(state, IMAGES[8:16], h)
        for state, h in zip(states, (hparams, changed), strict=True)
    ]
    leaves = [jax.flatten_util.ravel_pytree(s.params)[0] for s in states]
    assert abs(leaves[0] - leaves[1]).max() > 1e-5


@pytest.mark.parametrize("name", objectives.NAMES)
def test_every_objective_trains_in_the_same_loop(name, hparams):
    setup = Setup(scale="centred", objective=name)
    state = setup.begin()
    for _ in range(12):
        first = jax.tree.map(jnp.copy, state)
        state = train.start_epoch(state)
        state = setup.run_steps(state, IMAGES, setup.order, 0, 5, hparams)
        means = train.epoch_means(state)
        if first.step == 0:
            before = means["loss"]
    assert means["loss"] < before - 1
    if name in objectives.ESTIMATORS:
        # Binary likelihoods have no constants to leave out, and beta is 1.
        assert means["iw_bound"] == pytest.approx(-means["loss"], rel=1e-5)
        assert means["iw_bound"] > means["elbo"]


def test_clipping_bounds_the_global_norm_of_what_the_optimiser_sees(hparams):
    setup = Setup()
    spy = optax.GradientTransformationExtraArgs(
        lambda params: jnp.float32(0.0),
        lambda grads, state, params, ok: (grads, optax.tree.norm(grads)),
    )
    step = compiled(train.make_step(setup.attempt, spy, first_step=0))
    state, seen = setup.begin()._replace(opt_state=jnp.float32(0.0)), []
    for clip_norm in (jnp.inf, 1.0, 1e6):
        clipped = hparams._replace(clip_norm=jnp.float32(clip_norm))
        after = step(state, IMAGES[:8], clipped)
        seen.append(after.opt_state)
    unclipped, at_one, at_a_million = seen
    assert unclipped > 1.0
    np.testing.assert_allclose(at_one, 1.0, rtol=1e-5)  # float32
    assert at_a_million == unclipped
    np.testing.assert_allclose(after.sums["grad_norm"], unclipped, rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "grad_norm", "finite"),
    [
        (1.0, 2.0, True),
        (np.nan, 2.0, False),
        (1.0, np.inf, False),
        (-np.inf, 2.0, False),
    ],
)
def test_a_step_is_finite_if_both_its_loss_and_its_gradient_are(
    hparams, loss, grad_norm, finite
):
    tried = Setup().tried(Setup().begin(), IMAGES[:8], hparams)
    assert tried.is_finite()
    tried = tried._replace(loss=jnp.float32(loss), grad_norm=jnp.float32(grad_norm))
    assert bool(tried.is_finite()) is finite


def test_dynamic_binarisation_draws_black_and_white_anew_in_every_step(hparams):
    setup, grey = Setup(dynamic_binarize=True), IMAGES[:8] / np.float32(255)
    state, drawn = setup.begin(), []
    for step in range(400):
        at = state._replace(step=jnp.int32(step))
        drawn.append(setup.tried(at, IMAGES[:8], hparams).x)
    drawn = np.array(drawn)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert (drawn[0] != drawn[1]).any()
    # Five standard deviations of a mean of 400 draws, at most; one pixel in 500 of
    # these would be beyond three.
    np.testing.assert_allclose(drawn.mean(axis=0), grey, atol=5 * 0.5 / 20)


def test_a_bad_step_leaves_the_averaged_parameters_as_they_are(hparams):
    setup = Setup(use_ema=True)
    hparams = hparams._replace(ema_decay=jnp.float32(0.5))
    state = setup.step(setup.begin(), IMAGES[:8], hparams)
    bad = setup.step(state, IMAGES[:8], hparams._replace(beta=jnp.float32(np.nan)))
    assert int(bad.bad_steps) == 1
    assert_same(bad.ema, state.ema)
    good = setup.step(state, IMAGES[:8], hparams)
    gaps = jax.tree.map(lambda a, b: float(abs(a - b).max()), good.ema, state.ema)
    assert max(jax.tree.leaves(gaps)) > 0


def test_an_optimiser_that_cannot_leave_a_step_out_is_refused():
    with pytest.raises(
        TypeError, match=r"^tx: must take ok, as vae_jax.adam does, got"
    ):
        train.make_step(Setup().attempt, optax.scale_by_adam(), first_step=0)


def test_binarisation_and_noise_of_a_step_have_keys_of_their_own(hparams):
    # Those of the run's key, the step and the image, by which a run can be repeated.
    setup = Setup(dynamic_binarize=True)
    state = setup.begin()._replace(step=jnp.int32(3))
    of_pixels, of_noise = (
        jax.random.split(key, BATCH)
        for key in jax.random.split(jax.random.fold_in(state.key, 3))
    )
    found = setup.tried(state, IMAGES[:BATCH], hparams)
    grey = IMAGES[:BATCH] / np.float32(255)
    x = jnp.stack(list(map(pixels.binarize, of_pixels, grey)))
    np.testing.assert_array_equal(found.x, x)
    terms = setup.objective(setup.model, state.params, x, of_noise, hparams)[1]
    np.testing.assert_allclose(found.terms["recon"], terms["recon"], rtol=1e-5)


def test_mean_reduction_divides_the_loss_by_the_number_of_values(hparams):
    spread, single = Setup(reduction="mean"), Setup()
    a, b = (s.step(s.begin(), IMAGES[:8], hparams).sums for s in (spread, single))
    np.testing.assert_allclose(a["loss"] * 64, b["loss"], rtol=1e-5)
    np.testing.assert_allclose(a["grad_norm"] * 64, b["grad_norm"], rtol=1e-4)
    for name in ("recon", "kl", "elbo"):
        np.testing.assert_array_equal(a[name], b[name])


def test_scale_changes_what_the_model_sees(hparams):
    a, b = (
        s.step(s.begin(), IMAGES[:8], hparams).sums["recon"]
        for s in (Setup(scale="unit"), Setup(scale="centred"))
    )
    assert a != b


def test_dynamic_binarisation_draws_new_pixels_at_every_step(hparams):
    setup = Setup(dynamic_binarize=True)
    frozen = hparams._replace(lr=jnp.float32(0.0))
    first = setup.step(setup.begin(), IMAGES[:8], frozen)
    second = setup.step(first, IMAGES[:8], frozen)
    again = setup.step(setup.begin(), IMAGES[:8], frozen)
    assert second.sums["recon"] - first.sums["recon"] != first.sums["recon"]
    assert_same(first, again)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *itertools.product(("mlp", "cnn", "resprovae"), SAVING),
        *(
            pytest.param(name, change, marks=pytest.mark.slow)
            for name in ("provae", "hvae", "conv_hvae")
            for change in SAVING
        ),
    ],
)
def test_what_saves_memory_changes_no_loss_and_no_gradient(name, change, hparams):
    fields = {"dynamic_binarize": True}
    plain, saving = Setup(name, **fields), Setup(name, **fields, **change)
    state = plain.begin()
    expected = plain.tried(state, IMAGES[:BATCH], hparams)
    found = saving.tried(state, IMAGES[:BATCH], hparams)
    # Sums of float32 numbers in another order: a few units in the last place of the
    # largest of those that cancel.
    for image_terms in ("terms", "loss"):
        one, other = getattr(expected, image_terms), getattr(found, image_terms)
        assert_close(one, other, rtol=1e-5)
    assert_close(expected.grads, found.grads, rtol=2e-5)


def test_parts_of_a_batch_take_less_memory_than_the_whole(hparams):
    def working_memory(microbatches):
        setup = Setup("cnn", microbatches=microbatches)
        attempt = jax.jit(setup.attempt)
        whole = attempt.lower(setup.first, IMAGES[:BATCH], hparams).compile()
        return whole.memory_analysis().temp_size_in_bytes

    assert working_memory(8) < 0.5 * working_memory(1)


def test_with_remat_the_gradient_computes_activations_again(hparams):
    def products(remat):
        tried = Setup(remat=remat).tried
        lowered = tried.lower(Setup().first, IMAGES[:BATCH], hparams)
        return lowered.as_text().count("stablehlo.dot_general")

    # One hidden layer on either side: those of its two products without which the
    # gradient cannot be had.
    assert products(remat=True) >= products(remat=False) + 2


def test_the_terms_of_parts_of_a_batch_are_in_the_order_of_its_images(hparams):
    state = Setup().begin()
    whole, parts = Setup().tried, Setup(microbatches=2).tried
    expected = whole(state, IMAGES[:BATCH], hparams).terms["recon"]
    assert len(np.unique(expected)) == BATCH
    found = parts(state, IMAGES[:BATCH], hparams).terms["recon"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # as above


def test_each_step_draws_its_own_noise(hparams):
    setup = Setup()
    frozen = hparams._replace(lr=jnp.float32(0.0))
    first = setup.step(setup.begin(), IMAGES[:8], frozen)
    second = setup.step(first, IMAGES[:8], frozen)
    assert second.sums["recon"] - first.sums["recon"] != first.sums["recon"]


def test_averaged_parameters_lag_behind_by_their_decay(hparams):
    setup = Setup(use_ema=True)
    state = setup.begin()._replace(step=jnp.int32(1000))  # far from the first steps
    before = jax.tree.map(jnp.copy, state.ema)
    halfway = hparams._replace(ema_decay=jnp.float32(0.75))
    after = setup.step(state, IMAGES[:8], halfway)
    expected = jax.tree.map(lambda b, a: 0.75 * b + 0.25 * a, before, after.params)
    assert_close(after.ema, expected, rtol=1e-6)
    assert train.shown_params(after) is after.ema
    assert train.shown_params(Setup().begin()) is not None


def test_initial_parameters_soon_leave_the_average(hparams):
    setup = Setup(use_ema=True)
    state = setup.begin()
    started_at_a_thousand = jax.tree.map(lambda p: jnp.full_like(p, 1e3), state.ema)
    state = state._replace(ema=started_at_a_thousand)
    slow = hparams._replace(ema_decay=jnp.float32(0.9999))
    rows = jnp.tile(setup.order, (20, 1))
    state = setup.run_steps(state, IMAGES, rows, 0, 100, slow)
    # The product of (1 + t) / (10 + t) over t < 100 is below 1e-9; parameters are
    # small, and so is what is left of the thousand.
    largest = max(float(abs(leaf).max()) for leaf in jax.tree.leaves(state.ema))
    assert largest < 2.0


def test_the_average_starts_anew_with_a_stage(hparams):
    late = Setup(use_ema=True, first_step=1000)
    slow = hparams._replace(ema_decay=jnp.float32(0.9999))
    state = late.begin()._replace(step=jnp.int32(1000))
    after = late.step(state, IMAGES[:8], slow)
    # As at the very first step: a tenth of the old values, nine of the new.
    expected = jax.tree.map(lambda b, a: 0.1 * b + 0.9 * a, state.ema, after.params)
    assert_close(after.ema, expected, rtol=1e-5)
    # Whatever was skipped before.
    skipped = late.begin()._replace(step=jnp.int32(1000), bad_steps=jnp.int32(40))
    assert_same(late.step(skipped, IMAGES[:8], slow).ema, after.ema)


def test_averaging_does_not_change_training(hparams):
    on, off = Setup(use_ema=True), Setup()
    decay = hparams._replace(ema_decay=jnp.float32(0.9))
    a = on.run_steps(on.begin(), IMAGES, on.order, 0, 3, decay)
    b = off.run_steps(off.begin(), IMAGES, off.order, 0, 3, hparams)
    assert_close(a.params, b.params, rtol=1e-6)


def test_the_loss_falls_on_a_batch_it_may_memorise(hparams):
    setup = Setup()
    rows = jnp.tile(jnp.arange(8, dtype=jnp.int32), (200, 1))
    first = setup.run_steps(setup.begin(), IMAGES, rows, 0, 1, hparams)
    start = train.epoch_means(first)["loss"]
    trained = setup.run_steps(first, IMAGES, rows, 1, 200, hparams)
    last = setup.run_steps(train.start_epoch(trained), IMAGES, rows, 0, 1, hparams)
    assert train.epoch_means(last)["loss"] < start


def test_epoch_means_are_those_of_its_steps(hparams):
    setup = Setup()
    single, values = setup.begin(), []
    for rows in setup.order:
        single = setup.step(train.start_epoch(single), IMAGES[rows], hparams)
        values.append(train.epoch_means(single)["loss"])
    state = setup.begin()
    for rows in setup.order:
        state = setup.step(state, IMAGES[rows], hparams)
    assert train.epoch_means(state)["loss"] == pytest.approx(np.mean(values), rel=1e-5)
    assert math.isnan(train.epoch_means(train.start_epoch(state))["loss"])


def test_a_step_that_is_not_finite_changes_nothing_but_its_counters(hparams):
    setup = Setup(use_ema=True)
    good = setup.step(setup.begin(), IMAGES[:8], hparams)
    poisoned = hparams._replace(beta=jnp.float32(jnp.nan))
    bad = setup.step(good, IMAGES[8:16], poisoned)
    worse = setup.step(bad, IMAGES[8:16], poisoned)
    for field in ("params", "opt_state", "ema", "sums", "good_steps", "key"):
        assert_same(getattr(good, field), getattr(worse, field))
    assert (worse.step, worse.bad_steps, worse.bad_in_a_row) == (3, 2, 2)
    assert worse.last_bad_step == 3
    well = setup.step(worse, IMAGES[8:16], hparams)
    assert (well.step, well.bad_steps, well.bad_in_a_row) == (4, 2, 0)
    assert well.last_bad_step == 3
    assert well.good_steps == 2


def test_training_ends_at_the_last_bad_step_wherever_it_is_cut(hparams):
    setup = Setup()
    poisoned = hparams._replace(
        beta=jnp.float32(jnp.nan), max_bad_steps=jnp.float32(3.0)
    )
    whole = setup.run_steps(setup.begin(), IMAGES, setup.order, 0, 5, poisoned)
    pieces = setup.begin()
    for start in range(5):
        pieces = setup.run_steps(
            pieces, IMAGES, setup.order, start, start + 1, poisoned
        )
    assert whole.step == 3
    assert_same(whole, pieces)


@pytest.mark.parametrize(
    "elbos",
    # The last is a number that float32 rounds down.
    [[-3.0, -1.0, math.nan, -2.0], [-1.0, -1.0, -5.0], [-0.1, -0.1]],
)
def test_the_best_step_is_the_first_of_the_highest_elbo(elbos):
    state = Setup().begin()
    for step, elbo in enumerate(elbos, start=1):
        state = state._replace(step=jnp.int32(step))
        state = train.with_best(state, elbo)
    assert state.best_elbo == np.float32(np.nanmax(elbos))
    assert state.best_step == np.nanargmax(elbos) + 1


def test_without_validation_images_the_best_step_is_the_latest():
    state = Setup().begin()._replace(step=jnp.int32(7))
    assert train.with_best(state, None).best_step == 7


def test_an_epoch_visits_each_image_at_most_once():
    order = train.epoch_order(0, 0, num_images=10, batch_size=3)
    assert order.shape == (3, 3)
    assert len(set(order.ravel().tolist())) == 9


def test_order_depends_on_the_seed_and_the_epoch_alone():
    orders = [train.epoch_order(s, e, 50, 50)[0] for s, e in [(0, 0), (0, 1), (1, 0)]]
    assert len({tuple(order) for order in orders}) == 3
    np.testing.assert_array_equal(orders[1], train.epoch_order(0, 1, 50, 50)[0])


def test_a_batch_larger_than_the_data_is_refused():
    message = (
        "data.batch_size: must be at most the number of training images, 10, got 11"
    )
    with pytest.raises(ValueError, match=message):
        train.epoch_order(0, 0, num_images=10, batch_size=11)


def test_seeds_decide_the_first_parameters():
    setup = Setup()
    states = [setup.init(jax.random.key(seed)) for seed in (0, 0, 1)]
    assert_same(states[0].params, states[1].params)
    flat = [jax.flatten_util.ravel_pytree(s.params)[0] for s in states]
    assert not np.array_equal(flat[0], flat[2])


def test_the_learning_rate_of_a_step_follows_the_schedule(hparams):
    # The first update of Adam is the learning rate times the sign of the gradient.
    warm, constant = Setup(schedule=("constant", 10, 100)), Setup()
    moves = []
    for setup in (warm, constant):
        begin = setup.begin()
        after = setup.step(begin, IMAGES[:8], hparams)
        change = jax.tree.map(lambda a, b: abs(a - b).max(), after.params, begin.params)
        moves.append(max(map(float, jax.tree.leaves(change))))
    assert moves[0] == pytest.approx(moves[1] / 10, rel=1e-2)


def test_sweeps_put_an_axis_in_front_of_the_numbers(hparams):
    setup = Setup()
    two = hparams._replace(lr=jnp.float32([1e-3, 1e-2]))
    axes = type(hparams)(**dict.fromkeys(hparams._fields) | {"lr": 0})
    sweep = compiled(jax.vmap(setup.step.__wrapped__, in_axes=(None, None, axes)))
    swept = sweep(setup.begin(), IMAGES[:8], two)
    for i, lr in enumerate((1e-3, 1e-2)):
        alone = setup.step(
            setup.begin(), IMAGES[:8], hparams._replace(lr=jnp.float32(lr))
        )
        each = jax.tree.map(lambda leaf, i=i: leaf[i], swept.params)
        assert_close(each, alone.params, rtol=1e-5)
