"""Every field of an experiment, once: its default and what it may be.

A value outside of what the comment allows is refused before anything is compiled. So
is one that is absurdly large; the error says where that begins.
``may change`` marks the fields that may differ when a run is resumed. ``*`` marks those
that may have one value for each stage of a model that grows: ``(1e-3, 1e-3, 5e-4)``.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.exp_name = "vae"  # may change; names the run directory
    config.seed = 42  # 0 or more: initialisation, order of the images, noise

    config.data = ConfigDict(
        dict(
            # mnist | digits | freyfaces | shapes | npz | npy | idx | folder | tfds:NAME
            name="mnist",
            dir="",  # may change; folder with the files; empty: $VAE_JAX_DATA_DIR
            path="",  # may change; npz, npy, folder, idx: your own images
            image_size=(),  # height, width; empty: as they are
            channels=0,  # 1 | 3; 0: as they are. Both: folder, shapes and tfds only
            num_images=10_000,  # 2 or more; shapes: how many are drawn
            valid_size=10_000,  # 0 or more: the last training images; -1: a tenth
            test_size=-1,  # 1 or more, where the source has no test part; -1: a tenth
            split_seed=0,  # 0 or more: which images are held out, where not published
            limit=0,  # 0: all training images, else the first so many
            binarize="none",  # none | threshold | static | dynamic (for every batch)
            scale="unit",  # unit: v / 255 | centred: (v + 0.5) / 256
            batch_size=(128,),  # *; 1 or more, at most the number of training images
            # auto: what is too large for the device is streamed to it | device | stream
            placement="auto",  # may change
        )
    )
    config.model = ConfigDict(
        dict(
            name="mlp",  # mlp | cnn | provae | resprovae | hvae | conv_hvae
            # 1 or more; resprovae: *, of each stage's own latents; (conv_)hvae: one
            # number, or those of the top level and of the other
            z_dim=(20,),
            # Of the (top) latents, not of provae and resprovae:
            # standard | mixture | vamp, of which the learned two need loss.kl=mc
            prior="standard",
            # 1 or more; mixture, vamp: Gaussians of equal weight, of vamp at most as
            # many as there are training images
            prior_components=500,
            # vamp: values with which pseudo-inputs begin, which are clipped to 0 to 1
            pseudo_mean=0.05,  # 0 to 1; near the mean of the images
            pseudo_std=0.01,  # 0 or more
            # not (res)provae:
            hidden_dim=400,  # 1 or more: width of the dense hidden layers
            hidden_layers=2,  # 0 or more, on either side; conv_hvae: of p(z1|z2)
            # likewise: relu | tanh | gated: times a sigmoid, dense layers and those of
            # conv_hvae
            activation="relu",
            # lecun | he, both normal | glorot, uniform; of all layers of mlp, hvae and
            # conv_hvae (whose gates count as outputs), of the dense ones of cnn
            init="lecun",
            # zero | mean: the decoder begins with the mean training image; mlp and hvae
            # with loss.recon=bce only
            output_bias="zero",
            # low, high, to which log-variances of posteriors, and of p(z1|z2), are
            # clipped; not (res)provae
            logvar_range=(),
            # 1 or more; cnn: one convolution of stride 2 for each; conv_hvae: one of
            # stride 1 and one of stride 2
            channels=(32, 64),
            # provae and resprovae, which double their resolution from stage to stage:
            start_res=4,  # 1 or more: pixels of the longer side
            final_res=32,  # start_res times a power of two, no less than the images
            base_ch=128,  # 1 or more: channels at start_res, halved from stage to stage
            min_ch=16,  # 1 or more, at most base_ch: where the halving ends
            residual=False,  # blocks with a way around them
            group_norm=False,  # before every activation
            detach_residual=False,  # resprovae: no gradient by encoders' view; biased
            independent_stages=False,  # resprovae: stages see only their own latents
        )
    )
    config.loss = ConfigDict(
        dict(
            # elbo | iwae, the importance-weighted bound; its gradient by stl, sticking
            # the landing, or dreg, doubly reparameterised: one group of latents only
            objective="elbo",
            iw_samples=1,  # 1 or more draws for each image; all but elbo
            # bce | continuous_bernoulli | gaussian | gaussian_per_pixel | laplace |
            # discretized_logistic
            recon="bce",
            kl="analytic",  # analytic | mc
            kl_samples=1,  # 1 or more draws for each image; mc only
            beta=1.0,  # 0 or more: weight of the KL in the loss
            # 0 or more epochs over which beta rises from 0; then as many at its full
            # height, if there are further cycles
            warmup_epochs=0,
            warmup_cycles=1,  # 1 or more: how often it rises
            # At most one of the next three, and for elbo only:
            free_bits=0.0,  # 0: off, else nats that each group of latents has for free
            capacity=0.0,  # 0: off, else nats that the KL shall have; beta is its pull
            tc_weight=1.0,  # 0 or more: of the total correlation; one group of latents
            capacity_epochs=0,  # 0 or more epochs over which the capacity rises from 0
            reduction="sum",  # sum: nats per image | mean: nats per pixel value
            # above 0: of the Gaussian, or scale of the Laplace; where a learnable one
            # starts, or, above its floor, one for each pixel
            sigma=1.0,
            sigma_learnable=False,  # gaussian, laplace: one, or one a stage, is learned
            sigma_floor=0.01,  # above 0; gaussian_per_pixel: no pixel's is below
            # whether the loss has 0.5 log(2 pi) of a Gaussian, log 2 of a Laplace
            include_const=True,
            stage_loss_scale="none",  # none | area: final pixels for each of a stage's
        )
    )
    config.optim = ConfigDict(
        dict(
            lr=(1e-3,),  # *; above 0
            # constant | cosine, to 0 at the end of the run | steps
            schedule="constant",
            # steps: epochs, 1 or more, after which lr is multiplied; later ones than
            # there are have no effect
            decay_epochs=(),
            decay=0.1,  # steps: by this, above 0
            warmup_steps=0,  # 0 or more: linear rise of the learning rate
            eps=1e-8,  # above 0; Adam's, next to the root of its second moment
            clip_norm=0.0,  # 0: off, else the largest global norm of the gradient
            ema=0.0,  # 0: off, else the decay of averaged parameters, below 1
            per_stage=True,  # Adam counts its steps for each stage's parameters
        )
    )
    config.train = ConfigDict(
        dict(
            epochs=30,  # may change; 1 or more; models that do not grow
            epochs_per_stage=(
                10,
            ),  # *; 0 leaves a stage out, not the last; (res)provae
            # 0 to 1: part of a stage over which it is faded in; no fade over a stage
            # that is left out
            fadein_ratio=0.5,
            fade="linear",  # linear | cosine
            # 0: never, else it ends after so many epochs without a better bound on the
            # validation images
            patience=0,  # may change
            # how many share each batch; 0: all that there are
            devices=0,  # may change, as what it changes is rounding alone
            # For less memory: 1 or more parts of a batch, one computed after the other
            microbatches=1,  # may change, likewise
            # For less memory: activations are not kept but computed twice
            remat=False,  # may change, likewise
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
            # what --mode=eval measures beyond the bound:
            iw_samples=5000,  # may change; 1 or more: K of the weighted bound
            iw_images=0,  # may change; 0: all test images, else so many at random
            # auto | mnist_classifier | inception | pixels | none
            extractor="auto",  # may change
            # a file; empty: $VAE_JAX_INCEPTION, else a download
            inception_weights="",  # may change
            num_samples=10_000,  # may change; 6 or more, and of as many test images
            samplers=("prior", "mixture"),  # may change; one or both
            mixture_components=10,  # may change; 1 or more Gaussians
            mixture_images=20_000,  # may change; 1 or more training images to fit to
            pixels="mean",  # may change; mean | draw: the image that latents give
            fd_infinity=False,  # may change; extrapolates to infinitely many samples
        )
    )
    config.checkpoint = ConfigDict(
        dict(
            every_steps=0,  # may change; 0: at the end of epochs only
            every_minutes=10.0,  # may change; 0: at the end of epochs only
        )
    )
    return config
