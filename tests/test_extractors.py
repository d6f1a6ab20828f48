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
    assert extractors.named(name, data) == expected


def test_an_extractor_has_the_name_that_was_asked_for():
    assert extractors.build("pixels", (3, 4, 1), "").name == "pixels"
    assert extractors.build("mnist_classifier", (28, 28, 1), "").dims == 64


def test_an_unknown_extractor_is_refused():
    allowed = "mnist_classifier, inception, pixels, got 'vgg'"
    with pytest.raises(ValueError, match=allowed):
        extractors.build("vgg", (3, 4, 1), "")
