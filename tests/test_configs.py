"""The shipped configs."""

import importlib
import json
import pathlib

import pytest

from configs import base, saved
from vae_jax import settings

FOLDER = pathlib.Path(base.__file__).parent
PATHS = sorted(p for p in FOLDER.rglob("*_*.py") if p.stem != "__init__")
NAMES = [".".join(p.relative_to(FOLDER).with_suffix("").parts) for p in PATHS]


@pytest.mark.parametrize("name", [*NAMES, "base"])
def test_a_shipped_config_is_valid(name):
    settings.check(importlib.import_module(f"configs.{name}").get_config())


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_config_says_how_to_run_it_and_names_its_runs_after_itself(name):
    module = importlib.import_module(f"configs.{name}")
    path = f"configs/{name.replace('.', '/')}.py"
    assert f"python main.py --config={path}" in module.__doc__
    assert module.get_config().exp_name == pathlib.Path(path).stem


def test_a_saved_config_comes_back_with_its_types(tmp_path):
    config = base.get_config()
    config.model.channels, config.loss.beta, config.seed = (8, 16, 32), 2.0, 7
    path = tmp_path / "config.json"
    path.write_text(config.to_json())
    assert saved.get_config(str(path)).to_dict() == config.to_dict()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "has no attribute"),
        ('{"seed": "x"}', "seed"),
        ('{"foo": 1}', "foo: no such field"),
    ],
)
def test_a_saved_config_that_makes_no_sense_is_named(tmp_path, content, reason):
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="must be the config of a run: ") as caught:
        saved.get_config(str(path))
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("gated", "now"), [(True, "gated"), (False, "relu")])
def test_a_saved_config_may_have_a_field_that_has_another_name_now(
    gated, now, tmp_path
):
    content = json.loads(base.get_config().to_json())
    del content["model"]["activation"]
    content["model"]["gated"] = gated
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    config = saved.get_config(str(path))
    assert config.model.activation == now
    assert not settings.conflicts(content, json.loads(config.to_json()))
    config.model.activation = "tanh"
    found = settings.conflicts(content, json.loads(config.to_json()))
    assert found == f"model.activation is {now!r} there, 'tanh' here"


def test_a_saved_config_from_before_a_field_existed_takes_its_default(tmp_path):
    content = json.loads(base.get_config().to_json())
    del content["loss"]["kl_samples"]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    assert saved.get_config(str(path)).loss.kl_samples == 1
