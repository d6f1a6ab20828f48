"""Dense VAE on FreyFaces, with a learned sigma.

Run:     python main.py --config=configs/freyfaces_mlp.py
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.exp_name = "freyfaces_mlp"
    config.data.name = "freyfaces"
    config.data.test_size = 200
    config.data.valid_size = 200
    config.data.batch_size = 100
    config.model.hidden_dim = 200
    # The original's fixed sigma of 1 leaves no direction worth a latent: every one is
    # pruned (docs/results.md).
    config.loss.recon = "gaussian"
    config.loss.sigma_learnable = True
    config.train.epochs = 300
    config.eval.pictures_every = 50
    return config
