"""Strict numerics for every test, and what several of them need."""

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture
def hparams():
    """Numbers at which nothing is scaled, clipped or averaged."""
    import jax.numpy as jnp

    from vae_jax.contracts import Hparams

    plain = {"lr": 1e-3, "beta": 1.0, "sigma": 1.0, "alpha": 1.0}
    numbers = Hparams(**plain, clip_norm=jnp.inf, ema_decay=0.0)
    return Hparams(*map(jnp.float32, numbers))
