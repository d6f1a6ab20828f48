"""What a command begins with."""

import jax
import pytest

import main

DIGITS = f"--config={main.ROOT}/configs/digits_mlp.py"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeError("Unable to initialize backend 'tpu'"), "RuntimeError: Unable to"),
        (AssertionError(), "AssertionError: )"),
    ],
)
def test_devices_that_are_not_here_are_an_error_of_one_line(
    error, text, monkeypatch, capsys, tmp_path
):
    def fail():
        raise error

    monkeypatch.setattr(jax, "devices", fail)
    monkeypatch.setenv("JAX_PLATFORMS", "tpu")
    args = ["main.py", DIGITS, f"--workdir={tmp_path / 'run'}"]
    assert main.main(args) == 2
    said = capsys.readouterr().err.strip()
    assert "JAX_PLATFORMS: must name devices that JAX can use here, got 'tpu'" in said
    assert text in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_the_environment_cannot_widen_numbers(monkeypatch, tmp_path):
    jax.config.update("jax_enable_x64", True)
    try:
        args = ["main.py", "--mode=compare", f"--workdirs={tmp_path}/a,{tmp_path}/b"]
        assert main.main(args) == 2
        assert not jax.config.jax_enable_x64
    finally:
        jax.config.update("jax_enable_x64", False)
