"""The two-level VAE of Tomczak & Welling 2018 (arXiv:1705.07120) on FreyFaces.

Run:     python main.py --config=configs/papers/freyfaces_hvae.py
         python main.py --mode=eval --workdir=RUN
Paper:   4.61 bits/dim, -log p(x) by 5000 importance-weighted samples; their table 1
Ours:    4.658 +- 0.016 over three splits, as in freyfaces_vae, 7 to 8 minutes of
         CPU each; docs/results.md
"""

from ml_collections import ConfigDict

from configs.papers import freyfaces_vae


def get_config() -> ConfigDict:
    config = freyfaces_vae.get_config()
    config.exp_name = "freyfaces_hvae"
    config.model.name = "hvae"
    return config
