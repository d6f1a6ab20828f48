"""A linear VAE, trained by this project's own loop, ends where probabilistic PCA does.

One oracle for the loss, the KL, the learned sigma, the optimiser and the weighted
bound: with a linear decoder, one sigma and a diagonal posterior, the maximum of the
ELBO is the maximum likelihood of pPCA, where the posterior is exact and the bound is
tight. Sources: Tipping & Bishop 1999, section 3.2; Lucas et al. 2019
(arXiv:1911.02469), section 4.
"""

import functools
import importlib
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
import real_data
import scipy.linalg

from vae_jax import assembly, evaluate, pixels


class Optimum:
    """Of pPCA with ``k`` latents, in float64. See ``vae_jax.spectrum``."""

    def __init__(self, x: np.ndarray, k: int):
        self.mean, dims = x.mean(axis=0), x.shape[1]
        variances, axes = np.linalg.eigh(np.cov(x.T, bias=True))
        self.variances, self.axes = variances[::-1], axes[:, ::-1]
        kept, rest = self.variances[:k], self.variances[k:]
        self.sigma = np.sqrt(rest.mean())
        # Eigenvalues of W W^T + sigma^2 I: those kept, and sigma^2 for all others.
        log_det = np.log(kept).sum() + (dims - k) * np.log(rest.mean())
        self.log_px = -0.5 * (dims * np.log(2 * np.pi) + log_det + dims)


class Task(NamedTuple):
    """Images, how a linear VAE of them is trained, and how near it comes."""

    config: str
    lr: float
    steps: int
    sigma: float  # where a learned one begins
    betas: tuple[float, ...]  # with a learned sigma: of equal parts of the steps
    gaps: tuple[float, float]  # of the bounds with 1 and 20 draws to the best, nats
    ess: float  # of 20 draws, as a share


DIGITS = Task("digits_mlp", 0.02, 2000, 0.3, (1.0,), (0.1, 5e-3), 0.9)
# At the best sigma of faces the reconstruction is a hundred times as steep as the KL,
# which alone decides how long the columns of W are. A large beta finds that first: it
# takes beta sigma^2 from each lambda for sigma^2, next to nothing of the largest.
BETAS = (30.0, 30.0, 10.0, 3.0, 1.0, 1.0)
FACES = Task("freyfaces_mlp", 0.01, 3000, 0.2, BETAS, (0.4, 0.08), 0.7)
NEEDS_FACES = real_data.needs("FreyFaces")
ALL = pytest.mark.parametrize("task", [DIGITS, pytest.param(FACES, marks=NEEDS_FACES)])


@functools.cache
def trained(task: Task, k: int, fixed_sigma: float | None = None):
    """A linear VAE after full-batch Adam, and all training images as it sees them.

    The loss is stochastic in z alone, and the learning rate falls to 0. Sigma is
    learned if it is not given.
    """
    learned = fixed_sigma is None
    config = importlib.import_module(f"configs.{task.config}").get_config()
    config.model.hidden_layers, config.model.z_dim = 0, (k,)
    config.model.init = "glorot"
    config.loss.recon, config.loss.sigma_learnable = "gaussian", learned
    config.loss.sigma = task.sigma if learned else fixed_sigma
    config.optim.lr, config.optim.schedule = (task.lr,), "cosine"
    config.data.valid_size, config.train.epochs = 0, task.steps
    dataset = assembly.load_data(config)
    images = dataset.train.images
    config.data.batch_size = (len(images),)
    job = assembly.build(config, dataset)
    phase, rows = job.phases[0], np.arange(len(images), dtype=np.int32)
    order = jnp.asarray(np.broadcast_to(rows, (task.steps, len(images))))
    state, on_device = job.initial_state(), jnp.asarray(images)
    betas = task.betas if learned else (1.0,)
    ends = np.linspace(0, task.steps, len(betas) + 1, dtype=int)
    for beta, first, last in zip(betas, ends[:-1], ends[1:], strict=True):
        hparams = phase.hparams._replace(beta=jnp.float32(beta))
        state = phase.run_steps(state, on_device, order, first, last, hparams)
    return phase, state.params, np.asarray(pixels.to_float(on_device, "unit"))


def as_rows(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1).astype(np.float64)


@ALL
def test_a_linear_vae_finds_the_sigma_the_mean_and_the_subspace_of_ppca(task):
    phase, params, x = trained(task, 3)
    best = Optimum(as_rows(x), 3)
    # What is left of Adam's noise: the loss is flat to second order about the optimum.
    sigma = np.exp(params["likelihood"]["log_sigma"])
    np.testing.assert_allclose(sigma, best.sigma, rtol=2e-3)
    decoder = params["net"]["decoder"]["pixels"]
    weights = np.asarray(decoder["kernel"], np.float64).T
    angles = scipy.linalg.subspace_angles(weights, best.axes[:, :3])
    assert angles.max() < 0.02  # of a right angle, 1.57
    # W^T W has the eigenvalues lambda - sigma^2, whatever the rotation of the latents.
    lengths = np.linalg.eigvalsh(weights.T @ weights)[::-1]
    np.testing.assert_allclose(lengths, best.variances[:3] - best.sigma**2, rtol=0.1)
    (latent,) = phase.model.encode(params, jnp.asarray(x), None, 1.0)
    assert evaluate.active_units(np.asarray(latent.posterior.mean)) == 3
    centre = np.asarray(decoder["bias"]) + weights @ np.asarray(latent.z.mean(axis=0))
    np.testing.assert_allclose(centre, best.mean, atol=1e-3)


@ALL
def test_the_bound_of_a_linear_vae_is_the_likelihood_of_ppca_and_never_above_it(task):
    phase, params, x = trained(task, 3)
    best = Optimum(as_rows(x), 3)
    bound = evaluate.make_bound(phase.model, scale="unit", batch_size=500)
    elbo = bound(params, x, phase.hparams, 1).bound.mean(dtype=np.float64)
    weighted = bound(params, x, phase.hparams, 20)
    tighter = weighted.bound.mean(dtype=np.float64)
    # Nats, where log p(x) has 4 of the digits and 604 of the faces: what the noise of
    # the last steps leaves between posterior and encoder. More draws mend it.
    gap, smaller_gap = task.gaps
    assert best.log_px - gap < elbo < tighter < best.log_px + 1e-3
    assert best.log_px - smaller_gap < tighter
    # With the exact posterior the weights of all draws are p(x): their share is 20.
    assert weighted.ess.mean() > task.ess * 20
    # The same in closed form and one draw, as training reports it: its noise is that of
    # squares of normals, one for each pixel, in the mean over images.
    terms = phase.terms(params, x, phase.hparams)["elbo"]
    noise = np.sqrt(x[0].size / 2 / len(x))
    assert abs(terms.mean() - best.log_px) < gap + 4 * noise


@pytest.mark.parametrize(
    ("task", "sigma"), [(DIGITS, 0.56), pytest.param(FACES, 0.63, marks=NEEDS_FACES)]
)
def test_as_many_latents_are_active_as_directions_vary_more_than_sigma_squared(
    task, sigma
):
    phase, params, x = trained(task, 6, sigma)
    variances = Optimum(as_rows(x), 6).variances
    assert variances[3] > 1.2 * sigma**2 > sigma**2 > 1.1 * variances[4]
    (latent,) = phase.model.encode(params, jnp.asarray(x), None, 1.0)
    means = np.asarray(latent.posterior.mean)
    assert evaluate.active_units(means) == 4
    # E[mean^2] = 1 - sigma^2 / lambda along the axes; their sum survives a rotation.
    expected = (1 - sigma**2 / variances[:4]).sum()
    np.testing.assert_allclose(means.var(axis=0).sum(), expected, rtol=0.05)
