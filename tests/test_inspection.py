"""The order in which a step is looked into."""

import numpy as np

from vae_jax import inspection
from vae_jax.contracts import Hparams
from vae_jax.train import Attempt


def attempt(**terms):
    whole, fine = (
        np.ones(2),
        {"kl": np.ones(2), "recon": np.ones(2), "elbo": -np.ones(2)},
    )
    hparams = Hparams(*[1.0] * len(Hparams._fields))
    return Attempt(hparams, whole, fine | terms, np.float32(1), {}, np.float32(1))


def first(**terms):
    found = inspection.first_not_finite({}, [], attempt(**terms))
    return found and found.name


def test_a_bound_is_named_only_if_none_of_its_terms_is_not_finite():
    bad = np.float32([1, np.nan])
    assert first(iw_bound=np.ones(2)) is None
    assert first(iw_bound=bad) == "terms/iw_bound"
    assert first(iw_bound=bad, elbo=bad, recon=bad) == "terms/recon"
    assert first(iw_bound=bad, elbo=bad, kl=bad, recon=bad) == "terms/kl"
    assert first(iw_bound=bad, elbo=bad, kl=bad, kl_group_1=bad) == "terms/kl"
