"""Strict numerics for every test, and what several of them need."""

import atexit
import os
import pathlib
import shutil
import tempfile

# Many tests compile the same functions in runs and processes of their own. One cache,
# made by whichever process of the test session comes first, spares them the wait.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="vae_jax_xla_")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], True)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


def anything(**changes):
    """A request to a data source that asks for nothing in particular."""
    from vae_jax.data import Wanted

    nothing = dict.fromkeys(Wanted._fields) | {"seed": 0, "channels": 0}
    return Wanted(**{**nothing, **changes})


@pytest.fixture(autouse=True, scope="module")
def _forget_what_was_compiled():
    # Every compiled function takes some of the mappings of memory that a process may
    # have (65530 on Linux), without which LLVM ends it.
    yield
    mappings = pathlib.Path("/proc/self/maps")
    if mappings.exists() and mappings.read_bytes().count(b"\n") > 30_000:
        jax.clear_caches()


@pytest.fixture(scope="module")
def unoptimised():
    """What the tests of a module compile is compiled as fast as can be."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    jax.clear_caches()  # else runs of other modules could differ in their last bits


@pytest.fixture
def optimised(unoptimised):
    """But for one test, whose functions are compiled as users compile them."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def key():
    return jax.random.key(0)


@pytest.fixture
def hparams():
    """Numbers at which nothing is scaled, clipped or averaged."""
    import jax.numpy as jnp

    from vae_jax.contracts import Hparams

    plain = {"lr": 1e-3, "beta": 1.0, "sigma": 1.0, "sigma_floor": 0.01}
    plain |= {"free_bits": 0.0, "capacity": 0.0, "tc_weight": 1.0}
    off = {"alpha": 1.0, "clip_norm": jnp.inf, "ema_decay": 0.0, "max_bad_steps": 10.0}
    numbers = Hparams(**plain, **off)
    return Hparams(*map(jnp.float32, numbers))
