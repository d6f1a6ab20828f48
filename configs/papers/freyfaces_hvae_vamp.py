"""The two-level VAE of Tomczak & Welling 2018 (arXiv:1705.07120) with their VampPrior.

Run:     python main.py --config=configs/papers/freyfaces_hvae_vamp.py
         python main.py --mode=eval --workdir=RUN
Paper:   4.51 bits/dim, -log p(x) by 5000 importance-weighted samples; their table 1
Ours:    4.552 +- 0.017 over three splits, as in freyfaces_vae, 12 to 15 minutes of
         CPU each; docs/results.md
"""

from ml_collections import ConfigDict

from configs.papers import freyfaces_vamp


def get_config() -> ConfigDict:
    config = freyfaces_vamp.get_config()
    config.exp_name = "freyfaces_hvae_vamp"
    config.model.name = "hvae"
    return config
