"""The importance-weighted autoencoder of Burda et al. 2016 (arXiv:1509.00519) on MNIST.

One stochastic layer, and k draws for each image in training. Their schedule has 3280
epochs in eight stages; this is its beginning, the 121 epochs of five stages, with the
learning rates of those. Add --config.train.epochs=3280 for all of it.

Run:     python main.py --config=configs/papers/mnist_iwae.py --config.loss.iw_samples=1
         python main.py --mode=eval --workdir=RUN
         and the same with k=5 and 50 in the place of 1
Paper:   86.76, 85.54 and 84.78 nats for k=1, 5 and 50, -log p(x) by 5000
         importance-weighted samples, after the whole schedule
Ours:    89.77 and 88.51 nats for k=1 and 5 after these 121 epochs, 15 and 25 minutes
         of CPU; docs/results.md
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    config = base.get_config()
    config.exp_name = "mnist_iwae"
    config.data.valid_size = 0
    config.data.binarize = "dynamic"
    config.data.batch_size = (20,)
    config.model.z_dim = (50,)
    config.model.hidden_dim = 200
    config.model.activation = "tanh"
    config.model.init = "glorot"
    config.model.output_bias = "mean"
    config.loss.objective = "iwae"
    config.loss.iw_samples = 5
    config.loss.kl = "mc"
    config.optim.lr = (1e-3,)
    config.optim.eps = 1e-4
    config.optim.schedule = "steps"
    # Stages of 1, 3, 9, ... 3^7 epochs, from each to the next of which it falls by the
    # seventh root of ten.
    config.optim.decay_epochs = (1, 4, 13, 40, 121, 364, 1093)
    config.optim.decay = 10 ** (-1 / 7)
    config.train.epochs = 121
    config.eval.pictures_every = 0
    return config
