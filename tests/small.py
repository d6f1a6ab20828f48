"""Models that are small enough to compile in a moment, for the tests."""

from configs import base
from vae_jax import likelihoods, models

# The fields that ``models.build`` takes, as the configs have them but for sizes.
SIZES = base.get_config().model.to_dict() | {
    "z_dim": 2,
    "prior_components": 5,
    "hidden_dim": 8,
    "hidden_layers": 1,
    "channels": (4, 6),
    "final_res": 8,
    "base_ch": 4,
    "min_ch": 2,
    "stage_loss_scale": "area",
    "remat": False,
}
del SIZES["name"]
LIKELIHOOD = {
    "sigma": 1.0,
    "sigma_learnable": False,
    "include_const": True,
    "bin_width": 1 / 256,
}


def likelihood(recon="bce", **changes):
    return likelihoods.build(recon, **(LIKELIHOOD | changes))


def model(name, shape, recon="bce", stage=-1, **changes):
    """The last stage by default; ``changes`` are those of its likelihood too."""
    assert changes.keys() <= SIZES.keys() | LIKELIHOOD.keys()
    sizes = SIZES | changes
    if stage < 0:
        stage += models.num_stages(name, shape, **sizes)
    fields = {of: changes[of] for of in LIKELIHOOD if of in changes}
    return models.build(name, shape, likelihood(recon, **fields), stage, **sizes)
