"""Image files to bytes of one size and one number of channels."""

import io
import pathlib

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("PNG", "JPEG")
GREY = ("1", "L", "LA", "La")  # Pillow's modes without colour, but for palettes
MAX_PIXELS = 1 << 26  # of one image, a quarter of a GB in colour: 8192 x 8192


class TooDeep(ValueError):
    """An image with more than the eight bits a channel that a byte can hold."""


class TooLarge(ValueError):
    """An image of which a small file may ask for very much memory."""


def read(
    source: pathlib.Path | io.BufferedIOBase,
    image_size: tuple[int, int] | None,
    channels: int,
) -> UInt8[np.ndarray, "H W C"]:
    """``fit`` of the image in a PNG or JPEG file.

    Raises:
        ValueError: if it is no such file, is damaged, has more than eight bits a
            channel or more than ``MAX_PIXELS``. The caller knows the file's name and is
            to say it.
    """
    try:
        # PNG's checksums: Pillow's decoder alone lets one flipped bit in 600 pass.
        with Image.open(source, formats=FORMATS) as image:
            _check_size(image)  # before anything is unpacked
            image.verify()
        with Image.open(source, formats=FORMATS) as image:
            return fit(image, image_size, channels)
    except (TooDeep, TooLarge):
        raise
    except UnidentifiedImageError as error:  # its text names Python's own objects
        raise ValueError("must be a PNG or JPEG image, got another file") from error
    except Exception as error:  # of any kind; Pillow lets those of its decoders through
        raise ValueError(f"must be a whole PNG or JPEG image, got {error}") from error


def fit(
    image: Image.Image, image_size: tuple[int, int] | None, channels: int
) -> UInt8[np.ndarray, "H W C"]:
    """The pixels of ``image`` as a viewer shows them: upright, on white if transparent.

    Args:
        image: as opened, not loaded yet: 16-bit colour would have been cut to 8 bits.
        image_size: height and width to scale to, without distortion; what then stands
            over is cut off alike on both sides. None: the image's own.
        channels: 1 for grey, as ITU-R 601 weighs colours; 3 for colour; 0 for what the
            image is, where a palette of greys is grey.

    Raises:
        TooDeep: if the image has more than eight bits a channel.
    """
    _check_depth(image)
    image = ImageOps.exif_transpose(image)
    grey = channels == 1 or (channels == 0 and _is_grey(image))
    # Before the size: the colour under transparent pixels must not bleed out of them.
    image = _on_white(image).convert("L" if grey else "RGB")
    if image_size is not None:
        height, width = image_size
        image = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
    return np.array(image).reshape(image.height, image.width, 1 if grey else 3)


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise TooLarge(
            f"must have at most {MAX_PIXELS} pixels, got {image.height} x {image.width}"
        )


def _check_depth(image: Image.Image) -> None:
    # Pillow opens 16-bit colour as "RGB"; only its tiles know, until they are loaded.
    stored = [str(tile[3]) for tile in getattr(image, "tile", ())]
    deep = [mode for mode in stored if ";16" in mode]
    if deep or image.mode.startswith(("I", "F")):
        got = deep[0] if deep else image.mode
        raise TooDeep(
            f"must have at most 8 bits a channel, got {got}; "
            "save such images as floats in [0, 1] in an npz file"
        )


def _is_grey(image: Image.Image) -> bool:
    if image.mode not in ("P", "PA"):
        return image.mode in GREY
    palette = np.reshape(image.getpalette("RGB"), (-1, 3))
    return bool((palette == palette[:, :1]).all())


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    canvas = Image.new("RGBA", image.size, "white")
    canvas.alpha_composite(image.convert("RGBA"))
    return canvas
