"""One image at a time, in every mode that files have."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import decoding

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 4), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 4, 3), dtype=np.uint8)
RED, WHITE = (255, 0, 0), (255, 255, 255)


def saved(image, form="PNG", **options):
    """The file that holds an image, from its beginning."""
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return io.BytesIO(stream.getvalue())


def fit(image, image_size=None, channels=0):
    return decoding.fit(image, image_size, channels)


def read(stream, image_size=None, channels=0):
    return decoding.read(stream, image_size, channels)


def png(depth, colour, row, name=b"IEND"):
    """A PNG file of one pixel: Pillow cannot write 16-bit colour."""

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">2I5B", 1, 1, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" + row)), (name, b"")]
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in chunks))


def test_grey_and_colour_keep_their_bytes():
    for pixels in (GREY, COLOUR):
        found = read(saved(Image.fromarray(pixels)))
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, pixels.reshape(6, 4, -1))


@pytest.mark.parametrize("size", [(6, 4), (3, 2), (5, 9)])
def test_channels_and_size_are_those_asked_for(size):
    for pixels in (GREY, COLOUR):
        for channels in (1, 3):
            found = fit(Image.fromarray(pixels), size, channels)
            assert found.shape == (*size, channels)


def test_an_image_that_has_the_size_is_not_changed():
    found = fit(Image.fromarray(COLOUR), (6, 4), 3)
    np.testing.assert_array_equal(found, COLOUR)


def test_grey_becomes_three_equal_channels():
    found = fit(Image.fromarray(GREY), channels=3)
    np.testing.assert_array_equal(found, np.stack([GREY] * 3, axis=-1))


def test_colour_becomes_grey_by_its_luma():
    # ITU-R 601: 0.299 R + 0.587 G + 0.114 B.
    found = fit(Image.fromarray(COLOUR), channels=1)[..., 0]
    luma = COLOUR @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(found, luma, atol=0.51)  # rounded to a byte


def test_black_and_white_become_0_and_255():
    bits = Image.fromarray(GREY).convert("1")
    found = read(saved(bits))
    np.testing.assert_array_equal(found[..., 0], np.array(bits) * 255)


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_an_image_is_turned_upright(form):
    # EXIF 2.31, orientation 6: the stored top is the right of what is to be seen.
    stored = np.zeros((16, 32), np.uint8)
    stored[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    found = read(saved(Image.fromarray(stored), form, exif=exif))[..., 0]
    assert found.shape == (32, 16)
    assert (found[:, 8:] > 200).all()
    assert (found[:, :8] < 50).all()


def test_a_palette_is_resolved():
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, 0, 0, 255])
    image.putpixel((1, 0), 1)
    np.testing.assert_array_equal(read(saved(image)), [[RED, (0, 0, 255)]])


def test_a_palette_of_greys_is_grey():
    image = Image.new("P", (2, 1))
    image.putpalette([7, 7, 7, 200, 200, 200])
    image.putpixel((1, 0), 1)
    np.testing.assert_array_equal(read(saved(image)), [[[7], [200]]])


def transparent(mode):
    """Two pixels, the right one of which is not to be seen, and their options."""
    if mode in ("LA", "RGBA"):
        image = Image.new(mode, (2, 1), (0, 255) if mode == "LA" else (*RED, 255))
        image.putpixel((1, 0), (0, 0) if mode == "LA" else (*RED, 0))
        return image, {}
    first, second = {"L": (0, 9), "RGB": (RED, (0, 0, 9)), "P": (0, 1)}[mode]
    image = Image.new(mode, (2, 1), first)
    if mode == "P":
        image.putpalette([*RED, 0, 255, 0])
    image.putpixel((1, 0), second)
    return image, {"transparency": second}


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA"])
def test_what_is_transparent_is_white(mode):
    image, options = transparent(mode)
    expected = [[[0], [255]]] if mode in ("L", "LA") else [[RED, WHITE]]
    np.testing.assert_array_equal(read(saved(image, **options)), expected)


def test_what_is_half_transparent_is_half_white():
    image = Image.new("RGBA", (1, 1), (200, 0, 100, 102))
    # 0.4 v + 0.6 x 255
    np.testing.assert_array_equal(fit(image), [[[233, 153, 193]]])


def test_hidden_colours_do_not_bleed_into_what_is_seen():
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, :4] = 255, 255, 255, 255
    pixels[:, 4:] = 0, 0, 0, 0  # black, but not to be seen
    found = fit(Image.fromarray(pixels), (4, 4), 0)
    np.testing.assert_array_equal(found, np.full((4, 4, 3), 255))


def test_jpeg_of_four_inks_is_colour():
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    found = read(saved(image, "JPEG")).astype(int)
    assert found.shape == (16, 16, 3)
    assert np.abs(found - RED).max() < 10  # lossy


def test_what_stands_over_is_cut_off_alike_on_both_sides():
    wide = np.zeros((4, 12), np.uint8)
    wide[:, 4:8] = 255
    found = fit(Image.fromarray(wide), (4, 4), 0)
    np.testing.assert_array_equal(found, np.full((4, 4, 1), 255))
    found = fit(Image.fromarray(wide.T), (4, 4), 0)
    np.testing.assert_array_equal(found, np.full((4, 4, 1), 255))


def test_shapes_are_not_distorted():
    # A disc in a wide image is a disc afterwards: as wide as high, to a pixel.
    y, x = np.mgrid[:60, :100]
    disc = np.where((x - 50) ** 2 + (y - 30) ** 2 < 400, 255, 0).astype(np.uint8)
    found = fit(Image.fromarray(disc), (30, 30), 0)[..., 0] > 127
    height, width = np.ptp(np.argwhere(found), axis=0) + 1
    assert abs(height - 20) <= 1
    assert abs(width - 20) <= 1


def test_a_fine_pattern_becomes_grey_and_not_another_pattern():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    # The middle: at the border the filter sees half of itself.
    found = fit(Image.fromarray(stripes), (9, 9), 0)[2:-2, 2:-2].astype(int)
    assert np.abs(found - 127.5).max() < 4  # a filter that does not average: 127


@pytest.mark.parametrize(
    ("depth", "colour", "row", "mode"),
    [
        (16, 0, b"\x12\x34", "I;16B"),
        (16, 2, b"\x12\x34" * 3, "RGB;16B"),
        (16, 4, b"\x12\x34" * 2, "LA;16B"),
        (16, 6, b"\x12\x34" * 4, "RGBA;16B"),
    ],
)
def test_sixteen_bits_are_refused_and_not_cut_to_eight(depth, colour, row, mode):
    with pytest.raises(decoding.TooDeep) as caught:
        read(png(depth, colour, row), channels=3)
    assert str(caught.value) == (
        f"must have at most 8 bits a channel, got {mode}; "
        "save such images as floats in [0, 1] in an npz file"
    )


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_images_of_wide_numbers_in_memory_are_refused(mode):
    with pytest.raises(ValueError, match=f"8 bits a channel, got {mode};"):
        fit(Image.new(mode, (4, 4)))


@pytest.mark.parametrize(("depth", "row", "value"), [(2, b"\x80", 170), (8, b"\7", 7)])
def test_fewer_bits_are_spread_over_a_byte(depth, row, value):
    np.testing.assert_array_equal(read(png(depth, 0, row)), [[[value]]])


WHOLE = saved(Image.fromarray(COLOUR.repeat(20, 0).repeat(20, 1))).getvalue()

JPEG = saved(Image.fromarray(COLOUR.repeat(20, 0).repeat(20, 1)), "JPEG").getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be a PNG or JPEG image, got another file"),
        (b"nonsense", "must be a PNG or JPEG image, got another file"),
        (saved(Image.new("L", (4, 4)), "GIF").getvalue(), "got another file"),
        (WHOLE[: len(WHOLE) // 2], "must be a whole PNG or JPEG image, got Truncated"),
        (JPEG[: len(JPEG) // 2], "got image file is truncated"),
        (WHOLE[:60] + b"\xff" * 9 + WHOLE[69:], "must be a whole PNG or JPEG image"),
        (png(8, 2, b"", name=b"\xffDAT").getvalue(), "got broken PNG file"),
    ],
    ids=["empty", "nonsense", "gif", "half", "half a jpeg", "damaged", "other chunk"],
)
def test_what_is_no_whole_image_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        read(io.BytesIO(content))


def test_no_flipped_bit_in_the_pixels_of_a_png_passes():
    content = saved(Image.fromarray(COLOUR)).getvalue()
    first = content.index(b"IDAT") + 4
    last = content.index(b"IEND") - 8  # its checksum and the length of what follows
    for place in range(8 * first, 8 * last):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(ValueError, match="must be a whole PNG"):
            read(io.BytesIO(flipped))


def test_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"got \[Errno 2\] No such file"):
        read(tmp_path / "absent.png")


def test_an_image_too_large_to_be_one_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # twice as many are an error
    with pytest.raises(ValueError, match=r"got Image size \(24 pixels\) exceeds limit"):
        read(saved(Image.fromarray(GREY)))
