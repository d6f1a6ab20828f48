"""The pictures of a run, with their bytes in the page."""

import base64
import html
from collections.abc import Mapping

from vae_jax.html.elements import Html, element

LARGEST = 4_000_000  # bytes of one picture: a page is to open anywhere
TYPES = {"png": "image/png", "gif": "image/gif"}
# A name for those who cannot see the picture, and what it shows.
TEXTS = {
    "reconstructions.png": (
        "Reconstructions",
        "Test images, each directly above its reconstruction.",
    ),
    "samples.png": ("Samples", "The mean of p(x|z) for draws of z from the prior."),
    "samples_coarse.png": (
        "Samples of coarse latents",
        "Samples whose finer latents are zero.",
    ),
    "samples_finest.png": (
        "Samples of the finest latents",
        "Each row of samples shares all latents but the finest.",
    ),
    "residuals.png": (
        "Residuals",
        "What each stage adds, grey where that is nothing, and the image up to it.",
    ),
    "interpolations.png": (
        "Interpolations",
        "Straight lines in latent space from one test image to another.",
    ),
    "manifold.png": (
        "Latent plane",
        "Images decoded at equal steps of the prior's probability.",
    ),
    "kl_per_dimension.png": (
        "KL of every latent",
        "The KL of every latent, of each group the largest first.",
    ),
    "latent_space.png": ("Latent space", "The posterior means of test images."),
    "curves.png": ("Curves", "Training and validation images, epoch by epoch."),
    "growth.gif": ("Growth", "Samples of latents that are always the same, over time."),
}


def shown(pictures: Mapping[str, bytes], *names: str) -> Html:
    """Those of ``names`` that there are, or nothing."""
    there = [_picture(name, pictures[name]) for name in names if name in pictures]
    look = "pictures several" if len(there) > 1 else "pictures"
    return element("div", *there, class_=look) if there else Html()


def _picture(name: str, content: bytes) -> Html:
    title, caption = TEXTS[name]
    if len(content) > LARGEST:
        size = f"more than {LARGEST / 1e6:.1f} MB"
        return element("p", f"{name} has {size} and is not shown here. {caption}")
    source = f"data:{TYPES[name[-3:]]};base64,{base64.b64encode(content).decode()}"
    image = Html(f'<img src="{source}" alt="{html.escape(title)}">')
    return element("figure", image, element("figcaption", caption))
