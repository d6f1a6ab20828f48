"""Images whose variances are known, and jobs of them, for the tests of the doctor."""

import numpy as np
import scipy.linalg

import main
from vae_jax.run import session

CONFIGS = main.ROOT / "configs"
VARIANCES = np.array([0.25, 0.1, 0.05] + [0.00002] * 13)


def images_of_known_variances(num=1000):
    """Of 4x4, along 16 axes of their own. Uniform, or they would leave [0, 1].

    A linear VAE sees only the covariance, so its theory holds whatever the shape.
    """
    rng, axes = np.random.default_rng(0), scipy.linalg.hadamard(16) / 4
    uniform = rng.uniform(-(3**0.5), 3**0.5, size=(num, 16))  # variance 1
    x = 0.5 + uniform * np.sqrt(VARIANCES) @ axes
    assert 0 < x.min() < x.max() < 1
    return x.reshape(num, 4, 4).astype(np.float32)


def prepared(folder, images, *fields):
    """A config for images of one's own, 100 of them held out, and its job."""
    np.savez(folder / "own.npz", images=images)
    flags = ["name=npz", f"path={folder / 'own.npz'}", "valid_size=0"]
    flags += ["test_size=100", "batch_size=30"]
    return read("digits_mlp", *(f"data.{flag}" for flag in flags), *fields)


def read(name, *fields):
    flags = [f"--config.{field}" for field in fields]
    _, config = main.parse(["main.py", f"--config={CONFIGS / name}.py", *flags])
    return config, session.assemble(config)
