"""Residual progressively grown VAE on FreyFaces: latents for every resolution.

Run:     python main.py --config=configs/freyfaces_resprovae.py
Expect:  test ELBO 1002 +- 19 nats, 5.41 bits/dim, 18 minutes of one CPU core
         (docs/results.md)
"""

from ml_collections import ConfigDict

from configs import freyfaces_provae


def get_config() -> ConfigDict:
    config = freyfaces_provae.get_config()
    config.exp_name = "freyfaces_resprovae"
    config.model.name = "resprovae"
    return config
