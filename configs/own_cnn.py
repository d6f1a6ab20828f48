"""Convolutional VAE on your own images, of any size, grey or in colour.

Run:     python main.py --config=configs/own_cnn.py --config.data.path=FOLDER
Resize:  ... --config.data.image_size=32,32
Arrays:  ... --config.data.name=npz --config.data.path=FILE.npz
IDX:     ... --config.data.name=idx --config.data.path=FOLDER
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.exp_name = "own_cnn"
    config.data.name = "folder"
    config.data.valid_size = -1
    config.data.batch_size = (64,)
    config.model.name = "cnn"
    config.model.z_dim = (32,)
    config.model.hidden_dim = 256
    config.model.hidden_layers = 1
    config.loss.recon = "gaussian"
    config.loss.sigma_learnable = True
    config.loss.sigma = 0.3  # falls by a thousandth a step; 1 would take long
    config.train.epochs = 100
    config.eval.pictures_every = 20
    return config
