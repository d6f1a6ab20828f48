"""The MLP VAE of Tomczak & Welling 2018 (arXiv:1705.07120) on FreyFaces, their table 1.

Run:     python main.py --config=configs/papers/freyfaces_vae.py
         python main.py --mode=eval --workdir=RUN
Paper:   4.63 bits/dim, -log p(x) by 5000 importance-weighted samples; what the paper
         leaves open is as in its published code
Ours:    4.665 +- 0.019 over three splits (docs/results.md):
         --config.data.split_seed=0, 1, 2 with --config.seed=0, 1, 2; 5 minutes
         of CPU each
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.exp_name = "freyfaces_vae"
    config.data.name = "freyfaces"
    config.data.test_size = 200
    config.data.valid_size = 200
    config.data.batch_size = (100,)
    config.data.scale = "centred"
    config.model.z_dim = (40,)
    config.model.hidden_dim = 300
    config.model.hidden_layers = 2
    config.model.activation = "gated"
    config.model.init = "he"
    config.model.logvar_range = (-6.0, 2.0)
    config.loss.recon = "discretized_logistic"
    config.loss.kl = "mc"
    config.loss.warmup_epochs = 100
    config.optim.lr = (5e-4,)
    config.train.epochs = 2000
    config.train.patience = 50
    config.eval.pictures_every = 0
    return config
