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
