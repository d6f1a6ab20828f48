"""Draws of latents."""

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax import sampling

MEAN = jnp.array([[1.0, -2.0]])
LOGVAR = jnp.log(jnp.array([[4.0, 0.25]]))


def test_draws_have_the_mean_and_the_spread_that_were_asked_for(key):
    z = sampling.draws(key, MEAN, LOGVAR, num=40_000)[:, 0]
    standard_error = np.array([2.0, 0.5]) / 200  # of 40,000 draws
    assert (abs(z.mean(axis=0) - MEAN[0]) < 4 * standard_error).all()
    # The spread of n draws is known to 1/sqrt(2 n), 0.35 %: four times that.
    np.testing.assert_allclose(z.std(axis=0), [2.0, 0.5], rtol=0.014)


def test_draws_of_one_call_are_not_correlated(key):
    z = sampling.draws(key, MEAN, LOGVAR, num=2)
    assert not np.array_equal(z[0], z[1])


def test_without_a_key_the_draw_is_the_mean():
    np.testing.assert_array_equal(sampling.reparameterize(None, MEAN, LOGVAR), MEAN)


def test_gradients_flow_to_the_mean_and_the_logvar(key):
    def total(mean, logvar):
        return sampling.reparameterize(key, mean, logvar).sum()

    to_mean, to_logvar = jax.grad(total, argnums=(0, 1))(MEAN, LOGVAR)
    z = sampling.reparameterize(key, MEAN, LOGVAR)
    np.testing.assert_array_equal(to_mean, jnp.ones_like(MEAN))
    # dz/dlogvar = sigma * noise / 2 = (z - mean) / 2
    np.testing.assert_allclose(to_logvar, (z - MEAN) / 2, rtol=1e-6)


def test_with_a_key_each_an_example_draws_the_same_in_any_batch(key):
    mean, logvar = jnp.zeros((5, 3)), jnp.ones((5, 3))
    keys = jax.random.split(key, 5)
    whole = sampling.reparameterize(keys, mean, logvar)
    part = sampling.reparameterize(keys[2:4], mean[2:4], logvar[2:4])
    np.testing.assert_array_equal(whole[2:4], part)
    alone = sampling.reparameterize(keys[4], mean[4:], logvar[4:])
    np.testing.assert_array_equal(whole[4:], alone)
    assert len(np.unique(whole)) == whole.size


def test_keys_that_are_split_or_folded_are_so_one_by_one(key):
    def data(keys):
        return np.asarray(jax.random.key_data(keys))

    keys = jax.random.split(key, 4)
    split, folded = sampling.split(keys, 3), sampling.fold_in(keys, 7)
    assert split.shape == (3, 4)
    for index, one in enumerate(keys):
        np.testing.assert_array_equal(
            data(split[:, index]), data(jax.random.split(one, 3))
        )
        np.testing.assert_array_equal(
            data(folded[index]), data(jax.random.fold_in(one, 7))
        )


def test_draws_with_a_key_each_differ_between_draws_and_examples(key):
    keys = jax.random.split(key, 4)
    z = sampling.draws(keys, jnp.zeros((4, 2)), jnp.zeros((4, 2)), num=3)
    assert len(np.unique(z)) == z.size == 24
