"""What a config may hold."""

import json
import math
import pathlib
import re

import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import base
from vae_jax import (
    data,
    likelihoods,
    losses,
    models,
    objectives,
    pixels,
    schedules,
    settings,
)
from vae_jax.models import priors
from vae_jax.settings import rules

BASE = pathlib.Path(base.__file__)

# For every field: values that are refused. Strings come from config files, too.
WRONG = {
    rules.TEXT: [1, None, "a\0b"],
    rules.SWITCH: [1, 0.0, "yes", None],
    rules.NAME: ["", "a/b", "..", "a\nb", "\udcff", "a" * 201, 3, None],
    rules.EPOCHS: [(), (-1,), (1, 2.5), ("a",), (True,), 3, None],
    rules.MARKS: [(0,), (1, 2.5), ("a",), (True,), 3, None],
    rules.POSITIVES: [(), (0.0,), (1e-3, math.nan), ("a",), (True,), 1e-3, None],
    rules.PART: [-0.1, 1.1, math.nan, math.inf, "1", None],
    rules.SIZE: [(28,), (0, 28), (28, 28, 1), (28, 2.5), ("a", "b"), 28, None],
    rules.RANGE: [(1.0,), (1, 0), (0.0, 0.0), (-1e3, 0), (0, math.nan), ("a", "b")],
    rules.SHARE: [-2, "1", None, math.nan, math.inf, 0.1, True],
}


def test_fields_that_differ_are_listed_in_order():
    new = base.get_config().to_dict()
    old = base.get_config().to_dict()
    for section in ("optim", "model", "data", "loss", "train"):
        old[section] = dict.fromkeys(old[section])
    found = [text.split()[0] for text in settings.conflicts(old, new).split("; ")]
    assert found == sorted(found)
    assert len(found) > 40


def refused_values(field):
    rule = settings.RULES[field]
    if rule in WRONG:
        return WRONG[rule]
    value = dict(settings.flatten(base.get_config()))[field]
    if isinstance(value, str):
        return ["nonsense", "", 1, None]
    if isinstance(value, tuple):
        return [(), (0,), (1, 2.5), ("a",), (True,), 3, None]
    everywhere = [-1, "1", None, math.nan, math.inf, -math.inf]
    # A ConfigDict itself makes 1.0 of True where a float is expected.
    return [*everywhere, True, 1.5] if isinstance(value, int) else everywhere


@pytest.mark.parametrize("field", settings.RULES)
def test_values_out_of_range_or_kind_are_refused_by_name(field):
    for value in refused_values(field):
        config = base.get_config()
        with config.ignore_type():
            config.update_from_flattened_dict({field: value})
        with pytest.raises(ValueError, match=rf"{field}: must be .*, got") as caught:
            settings.check(config)
        given = dict(settings.flatten(config))[field]  # -1 is now -1.0, perhaps
        assert str(caught.value).endswith(repr(given))


# Of every kind that a config file or a config.json may hold.
ANYTHING = [
    *(None, True, np.bool_(True), 1, np.int64(1), 0.5, np.float32(0.5), 1j, len),
    *("text", b"text", ["text"], ("text",), {"prior"}, np.array("text")),
    *([], (), [1], (0.5,), (True,), (None,), ((1,),), ([1],), ({},), range(2)),
    *(np.array(1), np.array([]), np.array([1, 2]), (np.int64(1),), (np.array([1, 2]),)),
    *(("prior", []), (["prior"],), {"a": 1}, object()),
]


def is_of_the_kind_of(default, value):
    if isinstance(default, tuple):
        one = default[0] if default else 1
        parts = value if isinstance(value, tuple) else [value]
        return type(value) is tuple and all(is_of_the_kind_of(one, v) for v in parts)
    if isinstance(default, bool) or isinstance(value, bool):
        return type(default) is type(value)
    return isinstance(value, (int, float) if type(default) is float else type(default))


@pytest.mark.parametrize("field", settings.RULES)
def test_whatever_is_not_of_a_field_s_kind_is_refused_by_its_name(field):
    default = dict(settings.flatten(base.get_config()))[field]
    refused = 0
    for value in ANYTHING:
        config = base.get_config()
        *section, name = field.split(".")
        with config.ignore_type():
            (config[section[0]] if section else config)[name] = value
        given = dict(settings.flatten(config)).get(field)  # True is now 1.0, perhaps
        if is_of_the_kind_of(default, given):
            continue
        refused += 1
        with pytest.raises(ValueError, match=rf"^{field}: must be "):
            settings.check(config)
    assert refused > len(ANYTHING) / 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data.batch_size", (0,)),
        ("model.z_dim", (0,)),
        ("loss.sigma", 0.0),
        ("optim.lr", (0.0,)),
        ("optim.ema", 1.0),
        ("optim.lr", (1e39,)),  # infinity in float32
        ("loss.sigma", 1e-60),  # zero in float32
        ("seed", 2**32),  # another name of seed 0
        ("train.epochs", 10**20),
        ("train.epochs", 0),
        ("model.hidden_dim", 2**20),  # beyond which XLA may end the process
        ("model.z_dim", (2**20,)),
        ("model.hidden_layers", 100),
        ("model.final_res", 2**13),
        ("data.image_size", (2**13, 1)),
        ("loss.kl_samples", 2**20),
        ("loss.iw_samples", 0),
        ("loss.iw_samples", 2**20),
        ("eval.batch_size", 2**20),
        ("optim.lr", (1e-3,) * 100),
    ],
)
def test_the_ends_of_ranges_are_refused(field, value):
    config = base.get_config()
    config.update_from_flattened_dict({field: value})
    with pytest.raises(ValueError, match=f"{field}: must be"):
        settings.check(config)


def test_base_has_exactly_the_fields_that_have_rules():
    assert set(dict(settings.flatten(base.get_config()))) == set(settings.RULES)


def test_the_comments_of_base_say_which_fields_may_change():
    marked = re.findall(
        r"(\w+)=.*# may change|config\.(\w+) =.*# may change", BASE.read_text()
    )
    names = {a or b for a, b in marked}
    assert names == {field.split(".")[-1] for field in settings.MAY_CHANGE}


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("data.name", data.NAMES),
        ("data.binarize", data.BINARIZE),
        ("data.scale", pixels.SCALES),
        ("model.name", tuple(models.BUILDERS)),
        ("model.prior", priors.NAMES),
        ("loss.recon", likelihoods.NAMES),
        ("loss.objective", objectives.NAMES),
        ("loss.kl", objectives.KLS),
        ("loss.reduction", losses.REDUCTIONS),
        ("optim.schedule", schedules.SCHEDULES),
    ],
)
def test_choices_are_those_that_the_code_has(field, names):
    rule = settings.RULES[field]
    assert rule.text == "one of " + ", ".join(names)
    assert all(map(rule.allows, names))


def test_a_field_too_many_names_the_nearest_one():
    config = base.get_config()
    config.model.zdim = 3
    with pytest.raises(
        ValueError, match=r"model.zdim: no such field; .* model.z_dim\?"
    ):
        settings.check(config)


def test_what_is_no_config_is_refused():
    with pytest.raises(ValueError, match=r"must return a ConfigDict, got 3"):
        settings.check(3)


def test_a_missing_field_is_named():
    config = base.get_config()
    del config.model.z_dim
    with pytest.raises(ValueError, match=r"model\.z_dim: must be in the config"):
        settings.check(config)


@pytest.mark.parametrize(
    ("field", "value", "rest"), [("image_size", (32, 32), ()), ("channels", 3, 0)]
)
def test_a_set_of_one_size_is_not_asked_for_another(field, value, rest):
    config = base.get_config()
    config.data[field] = value
    with pytest.raises(ValueError, match=f"data.{field}: must be ") as caught:
        settings.check(config)
    assert str(caught.value) == (
        f"data.{field}: must be {rest!r}, as they are, for data.name=mnist, "
        f"got {value!r}"
    )


def test_binary_pixels_need_the_unit_scale():
    config = base.get_config()
    config.data.binarize, config.data.scale = "dynamic", "centred"
    with pytest.raises(
        ValueError, match=r"data\.scale: must be unit .*, got 'centred'"
    ):
        settings.check(config)


def plain(config: ConfigDict) -> dict:
    return json.loads(config.to_json())


def test_only_fields_that_may_not_change_are_conflicts():
    stored, config = plain(base.get_config()), base.get_config()
    config.train.epochs, config.data.dir, config.eval.batch_size = 99, "x", 7
    assert not settings.conflicts(stored, plain(config))
    config.loss.beta, config.model.channels = 4.0, (8,)
    assert settings.conflicts(stored, plain(config)) == (
        "loss.beta is 1.0 there, 4.0 here; model.channels is [32, 64] there, [8] here"
    )


def test_epochs_may_not_change_under_a_schedule_that_ends_with_them():
    config = base.get_config()
    config.optim.schedule = "cosine"
    stored = plain(config)
    config.train.epochs = 99
    found = settings.conflicts(stored, plain(config))
    assert found == "train.epochs is 30 there, 99 here"


def test_fields_that_are_newer_than_the_run_are_no_conflicts():
    stored = plain(base.get_config())
    del stored["loss"]["kl_samples"]
    assert not settings.conflicts(stored, plain(base.get_config()))
