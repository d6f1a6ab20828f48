"""The MLP VAE of Tomczak & Welling 2018 (arXiv:1705.07120) with their VampPrior.

Run:     python main.py --config=configs/papers/freyfaces_vamp.py
         python main.py --mode=eval --workdir=RUN
Paper:   4.57 bits/dim, -log p(x) by 5000 importance-weighted samples; their table 1
Ours:    4.577 +- 0.015 over three splits, as in freyfaces_vae, 11 minutes of
         CPU each; docs/results.md
"""

from ml_collections import ConfigDict

from configs.papers import freyfaces_vae


def get_config() -> ConfigDict:
    config = freyfaces_vae.get_config()
    config.exp_name = "freyfaces_vamp"
    config.model.prior = "vamp"
    config.model.prior_components = 500
    config.model.pseudo_mean = 0.5
    config.model.pseudo_std = 0.02
    return config
