"""A linear VAE, trained by this project's own loop, ends where probabilistic PCA does.

One oracle for the loss, the KL, the learned sigma, the optimiser and the weighted
bound: with a linear decoder, one sigma and a diagonal posterior, the maximum of the
ELBO is the maximum likelihood of pPCA, where the posterior is exact and the bound is
tight. Sources: Tipping & Bishop 1999, section 3.2; Lucas et al. 2019
(arXiv:1911.02469), section 4.
"""

import functools

import jax.numpy as jnp
import numpy as np
import scipy.linalg

from configs import digits_mlp
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


@functools.cache
def trained(k: int, sigma: float, learnable: bool):
    """A linear VAE of the digits after full-batch Adam, and the digits as it sees them.

    The loss is stochastic in z alone, and the learning rate falls to 0.
    """
    config, steps = digits_mlp.get_config(), 2000
    config.model.hidden_layers, config.model.z_dim = 0, (k,)
    config.loss.recon, config.loss.sigma_learnable = "gaussian", learnable
    config.loss.sigma = sigma
    config.optim.lr, config.optim.schedule = (0.02,), "cosine"
    config.data.valid_size, config.train.epochs = 0, steps
    dataset = assembly.load_data(config)
    images = dataset.train.images
    config.data.batch_size = (len(images),)
    job = assembly.build(config, dataset)
    phase, rows = job.phases[0], np.arange(len(images), dtype=np.int32)
    order = jnp.asarray(np.broadcast_to(rows, (steps, len(images))))
    state = phase.run_steps(
        job.initial_state(), jnp.asarray(images), order, 0, steps, phase.hparams
    )
    x = np.asarray(pixels.to_float(jnp.asarray(images), "unit"))
    return phase, state.params, x


def as_rows(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1).astype(np.float64)


def test_a_linear_vae_finds_the_sigma_the_mean_and_the_subspace_of_ppca():
    phase, params, x = trained(3, 0.3, True)
    best = Optimum(as_rows(x), 3)
    # What is left of Adam's noise: the loss is flat to second order about the optimum.
    sigma = np.exp(params["likelihood"]["log_sigma"])
    np.testing.assert_allclose(sigma, best.sigma, rtol=5e-3)
    decoder = params["net"]["decoder"]["pixels"]
    weights = np.asarray(decoder["kernel"], np.float64).T
    angles = scipy.linalg.subspace_angles(weights, best.axes[:, :3])
    assert angles.max() < 0.02  # of a right angle, 1.57
    # W^T W has the eigenvalues lambda - sigma^2, whatever the rotation of the latents.
    lengths = np.linalg.eigvalsh(weights.T @ weights)[::-1]
    np.testing.assert_allclose(lengths, best.variances[:3] - best.sigma**2, rtol=0.1)
    (latent,) = phase.model.encode(params, jnp.asarray(x), None, 1.0)
    centre = np.asarray(decoder["bias"]) + weights @ np.asarray(latent.z.mean(axis=0))
    np.testing.assert_allclose(centre, best.mean, atol=5e-3)


def test_the_bound_of_a_linear_vae_is_the_likelihood_of_ppca_and_never_above_it():
    phase, params, x = trained(3, 0.3, True)
    best = Optimum(as_rows(x), 3)
    bound = evaluate.make_bound(phase.model, scale="unit", batch_size=500)
    elbo = bound(params, x, phase.hparams, 1).bound.mean(dtype=np.float64)
    weighted = bound(params, x, phase.hparams, 20)
    tighter = weighted.bound.mean(dtype=np.float64)
    # With the exact posterior the weights of all draws are p(x), so no draw adds noise.
    assert best.log_px - 0.1 < elbo < tighter < best.log_px + 1e-3
    assert best.log_px - 5e-3 < tighter
    assert weighted.ess.mean() > 0.9 * 20
    # The same in closed form and one draw, as training reports it: its noise is that of
    # 64 squares of normals, of standard deviation sqrt(32), in the mean over images.
    terms = phase.terms(params, x, phase.hparams)["elbo"]
    assert abs(terms.mean() - best.log_px) < 0.1 + 4 * np.sqrt(32 / len(x))


def test_as_many_latents_are_active_as_directions_vary_more_than_sigma_squared():
    sigma = 0.56
    phase, params, x = trained(6, sigma, False)
    variances = Optimum(as_rows(x), 6).variances
    assert variances[3] > 1.2 * sigma**2 > sigma**2 > 1.1 * variances[4]
    (latent,) = phase.model.encode(params, jnp.asarray(x), None, 1.0)
    means = np.asarray(latent.posterior.mean)
    assert evaluate.active_units(means) == 4
    # E[mean^2] = 1 - sigma^2 / lambda along the axes; their sum survives a rotation.
    expected = (1 - sigma**2 / variances[:4]).sum()
    np.testing.assert_allclose(means.var(axis=0).sum(), expected, rtol=0.05)
