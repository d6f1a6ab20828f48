"""Every field of an experiment, once: its default and what it may be.

A value outside of what the comment allows is refused before anything is compiled.
``may change`` marks the fields that may differ when a run is resumed.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.exp_name = "vae"  # may change; names the run directory
    config.seed = 42  # 0 or more: initialisation, order of the images, noise

    config.data = ConfigDict(
        dict(
            # mnist | digits | freyfaces | shapes | npz | idx | folder | tfds:NAME
            name="mnist",
            dir="",  # may change; folder with the files; empty: $VAE_JAX_DATA_DIR
            path="",  # may change; npz, folder, idx: your own images
            image_size=(),  # height, width; empty: as they are
            channels=0,  # 1 | 3; 0: as they are
            num_images=10_000,  # 2 or more; shapes: how many are drawn
            valid_size=10_000,  # 0 or more: the last training images; -1: a tenth
            test_size=-1,  # 1 or more, where the source has no test part; -1: a tenth
            split_seed=0,  # 0 or more: which images are held out, where not published
            limit=0,  # 0: all training images, else the first so many
            binarize="none",  # none | threshold | static | dynamic (for every batch)
            scale="unit",  # unit: v / 255 | centred: (v + 0.5) / 256
            batch_size=128,  # 1 or more, at most the number of training images
        )
    )
    config.model = ConfigDict(
        dict(
            name="mlp",  # mlp | cnn
            z_dim=20,  # 1 or more
            hidden_dim=400,  # 1 or more: width of the dense hidden layers
            hidden_layers=2,  # 0 or more, on either side
            channels=(32, 64),  # cnn: one convolution of stride 2 for each, 1 or more
        )
    )
    config.loss = ConfigDict(
        dict(
            recon="bce",  # bce | gaussian
            kl="analytic",  # analytic | mc
            kl_samples=1,  # 1 or more draws for each image; mc only
            beta=1.0,  # 0 or more: weight of the KL in the loss
            reduction="sum",  # sum: nats per image | mean: nats per pixel value
            sigma=1.0,  # above 0: of the Gaussian; where a learnable one starts
            sigma_learnable=False,  # gaussian: one sigma for the data set is learned
            include_const=True,  # gaussian: whether the loss has 0.5 log(2 pi)
        )
    )
    config.optim = ConfigDict(
        dict(
            lr=1e-3,  # above 0
            schedule="constant",  # constant | cosine, to 0 at the end of the run
            warmup_steps=0,  # 0 or more: linear rise of the learning rate
            clip_norm=0.0,  # 0: off, else the largest global norm of the gradient
            ema=0.0,  # 0: off, else the decay of averaged parameters, below 1
        )
    )
    config.train = ConfigDict(
        dict(
            epochs=30,  # may change; 1 or more
            max_minutes=0.0,  # may change; 0: no limit, else stop, saved, after so long
            max_bad_steps=10,  # may change; 1 or more non-finite steps in a row end it
            tensorboard=False,  # may change; writes RUN/tensorboard, needs tensorboardX
            deterministic=False,  # GPU: bit-identical results at some cost in speed
        )
    )
    config.eval = ConfigDict(
        dict(
            batch_size=500,  # may change; 1 or more
            checkpoint="best",  # may change; best (on validation images) | latest
            pictures_every=5,  # may change; every so many epochs; 0: at the end only
        )
    )
    config.checkpoint = ConfigDict(
        dict(
            every_steps=0,  # may change; 0: at the end of epochs only
            every_minutes=10.0,  # may change; 0: at the end of epochs only
        )
    )
    return config
