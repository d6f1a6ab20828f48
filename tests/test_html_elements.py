"""The pieces of a page."""

import pytest

from vae_jax.html import elements


def test_text_and_attributes_are_escaped_and_markup_is_not():
    made = elements.element("p", "<b>", elements.element("i", "&"), title='"<')
    assert made == '<p title="&quot;&lt;">&lt;b&gt;<i>&amp;</i></p>'


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        # Two digits of the error decide how many of the value there are.
        (-99.2210, 0.2568, "-99.22 ± 0.26"),
        (9.13376, 0.00433, "9.1338 ± 0.0043"),
        (994.96, 74.44, "995 ± 74"),
        (1e-12, 2.5e-13, "1e-12 ± 2.5e-13"),
        (3.0, 0.0, "3 ± 0"),
        (17, 0.5, "17.00 ± 0.50"),
        (None, None, "not finite"),
        (-4.25, None, "-4.25"),  # of one image
    ],
)
def test_a_number_has_the_digits_that_its_error_gives(value, error, shown):
    assert elements.measured({"value": value, "standard_error": error}) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (119.36193, "119.36"),
        (17, "17"),
        (10_000, "10000"),
        (None, "not finite"),
        (float("nan"), "not finite"),
        (float("-inf"), "not finite"),
        ("words", "words"),
        (True, "true"),
        ([4, 4], "[4, 4]"),
    ],
)
def test_a_number_without_an_error_has_five_digits(value, shown):
    assert elements.measured({"value": value}) == shown
