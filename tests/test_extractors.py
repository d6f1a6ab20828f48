"""Which extractor a name means."""

import pytest

from vae_jax import extractors


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("auto", "mnist", "mnist_classifier"),
        ("auto", "freyfaces", "pixels"),
        ("pixels", "mnist", "pixels"),
    ],
)
def test_auto_means_what_needs_no_network(name, data, expected):
    assert extractors.named(name, data, (28, 28, 1)) == expected


def test_large_images_have_no_default(monkeypatch):
    assert extractors.named("auto", "folder", (64, 64, 1)) == "pixels"
    assert extractors.named("auto", "folder", (64, 65, 1)) == "none"
    message = "pixels: must be at most 4096 values an image, got 4160; for larger"
    with pytest.raises(ValueError, match=message):
        extractors.build("pixels", (64, 65, 1), "")


def test_an_extractor_has_the_name_that_was_asked_for():
    assert extractors.build("pixels", (3, 4, 1), "").name == "pixels"
    assert extractors.build("mnist_classifier", (28, 28, 1), "").dims == 64


def test_an_unknown_extractor_is_refused():
    allowed = "mnist_classifier, inception, pixels, got 'vgg'"
    with pytest.raises(ValueError, match=allowed):
        extractors.build("vgg", (3, 4, 1), "")
