"""The command line: what a user types, and what is said when it makes no sense."""

import json
import os
import subprocess
import sys

import pytest

import main

DIGITS = "--config=configs/digits_mlp.py"
COMPARE = ["--mode=compare", "--workdirs=/no/such,/no/other"]


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(main.ROOT)


def run(*args):
    return main.main(["main.py", *args])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "--config: must be given; there are configs/digits_cnn.py"),
        (
            ["--config=configs/no.py"],
            "--config: no such file: configs/no.py; there are",
        ),
        (["--config=main.py"], "has no attribute 'get_config'"),
        (["--config"], "Missing value for flag --config"),
        (["--confg=x"], "Unknown command line flag 'confg'. Did you mean: config ?"),
        ([DIGITS, "--workdri=x"], "Did you mean: workdir, workdirs ?"),
        ([DIGITS, "extra", "more"], "arguments: must all be flags, got extra more"),
        (
            [DIGITS, "--mode=trian"],
            "value should be one of <train|doctor|eval|sample|replay|compare>",
        ),
        ([DIGITS, "--num=0", "--mode=sample"], "--num=0: 0 is not a positive integer"),
        ([DIGITS, "--num=5"], "--num: is for --mode=sample"),
        ([DIGITS, "--sample_seed=3"], "--sample_seed: is for --mode=sample"),
        ([DIGITS, "--stage=1"], "--stage: is for --mode=eval and --mode=sample"),
        ([DIGITS, "--step=1"], "--step: is for --mode=replay, which needs it"),
        ([DIGITS, "--mode=doctor", "--profile"], "--profile: is for --mode=train"),
        ([*COMPARE, "--profile"], "--profile: is not for --mode=compare, which takes"),
        (["--mode=replay", "--workdir=a"], "--step: is for --mode=replay, which needs"),
        (["--mode=replay", "--step=0"], "--step=0: 0 is not a positive integer"),
        (["--mode=replay", "--step=1"], "--workdir: must name a run for --mode=replay"),
        (
            [DIGITS, "--mode=doctor", "--workdir=a"],
            "--workdir: is not for --mode=doctor, which looks at a config",
        ),
        ([DIGITS, "--mode=doctor", "--stage=1"], "--stage: is for --mode=eval and"),
        (["--mode=doctor"], "--config: must be given; there are configs/digits_cnn"),
        (["--mode=eval"], "--workdir: must name a run for --mode=eval"),
        (["--mode=sample"], "--workdir: must name a run for --mode=sample"),
        (["--mode=eval", "--workdir=/no/such"], "there is no /no/such/config.json"),
        ([DIGITS, "--mode=eval"], "--workdir: must name a run for --mode=eval"),
        ([DIGITS, "--mode=eval", "--workdir=/no/such"], "there is no /no/such/config"),
        ([DIGITS, "--workdir="], "--workdir: must name a folder, got ''"),
        (["--mode=compare"], "--workdirs: must name two runs or more, as in RUN1,RUN2"),
        (["--mode=compare", "--workdirs=a"], "as in RUN1,RUN2, got 'a'"),
        (["--mode=compare", "--workdirs=a,"], "as in RUN1,RUN2, got 'a', ''"),
        (["--mode=compare", "--workdirs=a,", "b"], "must all be flags, got b"),
        (
            [*COMPARE, "--workdir=a"],
            "--workdir: is not for --mode=compare, which takes",
        ),
        ([*COMPARE, DIGITS], "--config: is not for --mode=compare, which takes"),
        ([*COMPARE, "--config.seed=3"], "--config.seed=3: is not for --mode=compare"),
        ([*COMPARE, "--num=3"], "--num: is not for --mode=compare, which takes"),
        ([*COMPARE, "--print_config"], "--print_config: is not for --mode=compare"),
        (COMPARE, "--workdirs: must name runs, but there is no /no/such/config.json"),
        ([DIGITS, "--workdirs=a,b"], "--workdirs: is for --mode=compare"),
        ([DIGITS, "--out=a"], "--out: is for --mode=compare"),
        (["--config.seed=3"], "--config: must be given"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused_in_a_line(
    args, message, capsys, monkeypatch
):
    # Where a config file was loaded before, ml_collections keeps what it defined.
    monkeypatch.delitem(sys.modules, "config_config", raising=False)
    assert run(*args) == 2
    out, err = capsys.readouterr()
    assert err.startswith("main.py: ")
    assert message in err
    assert len(err.splitlines()) <= 2
    assert not out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("config.model.zdim = 3", 'Did you mean "z_dim" instead of "zdim"?'),
        ('config.model.z_dim = "x"', "TypeError: Could not override field 'z_dim'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("return 3", "get_config(): must return a ConfigDict, got 3"),
        ("import no_such_module", "No module named 'no_such_module'"),
    ],
)
def test_a_mistake_in_a_config_file_is_said_in_a_line(tmp_path, line, message, capsys):
    path = tmp_path / "mine.py"
    head = (
        "from configs import base\ndef get_config():\n    config = base.get_config()\n"
    )
    path.write_text(f"{head}    config.lock()\n    {line}\n    return config\n")
    assert run(f"--config={path}") == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    if "ConfigDict" not in message:
        assert err.startswith(f"main.py: --config: {path}, line 5: ")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.zdim=3", "model.zdim: no such field; did you mean model.z_dim?"),
        ("modl.z_dim=3", "modl.z_dim: no such field; did you mean model.z_dim?"),
        ("model=3", "model: is a section; change one of its fields"),
        (
            "model.hidden_dim=abc",
            "model.hidden_dim: must be a whole number of at least 1 and below 1048576, "
            "got 'abc'",
        ),
        ("model.hidden_dim=3.5", "below 1048576, got '3.5'"),
        (
            "seed=a: b",
            "seed: must be a whole number of at least 0 and below 4294967296, got "
            "'a: b'",
        ),
        (
            "loss.beta=",
            "loss.beta: must be a number of at least 0 and below 1e+30, got ''",
        ),
        ("eval.samplers=prior,mixture", "or both, as in ('prior', 'mixture'), got ("),
        ("model.z_dim=0", "model.z_dim: must be a tuple of one or more whole numbers"),
        ("model.z_dim=3.5", "got (3.5,)"),
        ("model.z_dim=abc", "got ('abc',)"),
        ("train.fadein_ratio=1.5", "train.fadein_ratio: must be a number from 0 to 1"),
        ("model.channels=1,2.5", "got (1, 2.5)"),
        (
            "model.name=gan",
            "model.name: must be one of mlp, cnn, provae, resprovae, hvae, conv_hvae, "
            "got 'gan'",
        ),
        ("data.name=cifar", "data.name: must be one of mnist, digits, freyfaces, "),
        ("data.batch_size=0", "data.batch_size: must be a tuple of one or more whole"),
        ("loss.recon=mse", "loss.recon: must be one of bce, continuous_bernoulli, "),
        ("loss.kl=exact", "loss.kl: must be one of analytic, mc, got 'exact'"),
        ("loss.reduction=none", "loss.reduction: must be one of sum, mean"),
        (
            "loss.sigma=0",
            "loss.sigma: must be a number above 0 and below 1e+30, got 0.0",
        ),
        (
            "optim.lr=-1",
            "optim.lr: must be a tuple of one or more numbers above 0 and below 1e+30, "
            "got (-1,)",
        ),
        (
            "optim.lr=nan",
            "optim.lr: must be a tuple of one or more numbers above 0 and below",
        ),
        (
            "loss.sigma_learnable=maybe",
            "loss.sigma_learnable: must be True or False, got 'maybe'",
        ),
    ],
)
def test_a_field_that_makes_no_sense_is_refused_in_a_line(override, message, capsys):
    assert run(DIGITS, f"--config.{override}") == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["--config.data.batch_size=2000"],
            "data.batch_size: must be at most the number of training images, 1300, got",
        ),
        (["--config.data.valid_size=1500"], "data.valid_size: must leave one of"),
        (["--config.data.limit=1301"], "data.limit: must be 0 (all) to 1300"),
        (
            ["--config.data.binarize=static", "--config.data.scale=centred"],
            "data.scale: must be unit",
        ),
        (
            ["--config.data.name=mnist", "--config.data.dir=/no/such"],
            "/no/such",
        ),
    ],
)
def test_what_only_the_data_can_tell_is_refused_before_a_run_directory_is_made(
    args, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert run(DIGITS, *args, f"--workdir={tmp_path / 'run'}") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_damaged_data_file_is_named_and_left_in_place(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for part in ("train-images-idx3", "train-labels-idx1"):
        for name in (part, part.replace("train", "t10k")):
            (tmp_path / f"{name}-ubyte").write_bytes(b"not an image")
    path = tmp_path / "train-images-idx3-ubyte"
    folder = f"--config.data.dir={tmp_path}"
    args = ["--config=configs/mnist_mlp.py", folder, f"--workdir={tmp_path / 'run'}"]
    assert run(*args) == 2
    assert str(path) in capsys.readouterr().err
    assert path.read_bytes() == b"not an image"
    assert not (tmp_path / "run").exists()


def test_a_workdir_that_is_a_file_or_cannot_be_made_is_refused(tmp_path, capsys):
    path = tmp_path / "file"
    path.write_text("mine")
    assert run(DIGITS, f"--workdir={path}") == 2
    assert "--workdir: must be a folder, got the file" in capsys.readouterr().err
    assert run(DIGITS, f"--workdir={path / 'below'}") == 2
    assert "--workdir: must be writable, got " in capsys.readouterr().err
    assert path.read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_workdir_that_is_not_writable_is_refused(tmp_path, capsys):
    tmp_path.chmod(0o500)
    assert run(DIGITS, f"--workdir={tmp_path / 'run'}") == 2
    assert "Permission denied" in capsys.readouterr().err


def test_the_config_can_be_shown_and_overridden(capsys):
    assert run(DIGITS, "--print_config", "--config.seed", "7") == 0
    shown = capsys.readouterr().out
    assert "seed: 7" in shown
    assert "name: digits" in shown


def test_the_config_may_stand_anywhere_and_the_last_counts(capsys):
    first, last = DIGITS.replace("digits", "mnist"), DIGITS.partition("=")
    seed, option = "--config.seed=9", [last[0], last[2]]
    assert run("--print_config", seed, first, *option) == 0
    assert {"exp_name: digits_mlp", "seed: 9"} < set(
        capsys.readouterr().out.split("\n")
    )


def test_of_several_values_for_a_field_the_last_counts(capsys):
    twice = ["--config.model.z_dim=3", "--config.model.z_dim=4,5"]
    seeds = ["--config.seed=1", "--config.seed", "2"]
    assert run(DIGITS, "--print_config", *twice, *seeds) == 0
    shown = capsys.readouterr().out
    assert "- 4\n  - 5\n" in shown
    assert "- 3\n" not in shown
    assert "seed: 2" in shown


def test_help_shows_commands_and_flags(capsys):
    assert run("--help") == 0
    shown = capsys.readouterr().out
    for part in ("python main.py --config=configs/mnist_cnn.py", "--workdir", "--num"):
        assert part in shown
    assert "python main.py --mode=compare --workdirs=RUN1,RUN2" in shown
    assert "--out: compare: folder for comparison.md and comparison.csv" in shown


def test_help_and_mistakes_are_answered_without_importing_jax():
    code = "import sys, main; main.main(['main.py', *sys.argv[1:]]); " + (
        "print([m for m in ('jax', 'matplotlib', 'orbax') if m in sys.modules])"
    )
    for args in (
        ["--help"],
        [DIGITS, "--config.model.z_dim=0"],
        [DIGITS, "--print_config"],
        ["--mode=compare", "--workdirs=a"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *args],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines()[-1] == "[]"


def test_deterministic_training_sets_its_flag_before_jax_is_imported():
    code = """
import os, sys, main

class Finder:
    def find_spec(name, *_):
        if name == "jax":
            print(os.environ["XLA_FLAGS"])
            sys.exit()

sys.meta_path.insert(0, Finder)
main.main(["main.py", *sys.argv[1:]])
"""
    known = "--xla_cpu_enable_fast_math=false"
    for options, flags in (
        ([], known),
        (
            ["--config.train.deterministic=True"],
            f"{known} --xla_gpu_deterministic_ops=true",
        ),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, DIGITS, *options],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"XLA_FLAGS": known},
        )
        assert done.stdout.splitlines() == [flags]


@pytest.mark.parametrize(
    ("flag", "known", "level"),
    [
        ("--compilation_cache", None, "3"),
        ("--compilation_cache", "0", "0"),
        ("--nocompilation_cache", None, None),
    ],
)
def test_xla_does_not_warn_of_its_own_cache_unless_it_is_asked_to(
    monkeypatch, flag, known, level
):
    from vae_jax import run as module

    given = []
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    if known is not None:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", known)
    monkeypatch.setattr(module, "run", lambda *_, **options: given.append(options) or 0)
    assert run(DIGITS, flag) == 0
    assert os.environ.get("TF_CPP_MIN_LOG_LEVEL") == level
    assert given[0]["compilation_cache"] == (flag == "--compilation_cache")


def test_training_starts_without_what_pictures_and_the_doctor_need():
    code = (
        "import sys, vae_jax.run; names = 'matplotlib', 'scipy', 'tensorflow_datasets';"
        "print([name for name in names if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.fixture
def runs(tmp_path):
    """Two run directories as evaluation leaves them; one has a comma in its name."""
    elbo = {"value": -24.0, "standard_error": 0.5, "n": 297, "unit": "nats per image"}
    found = {
        "split": "test",
        "checkpoint": "best",
        "epoch": 3,
        "trained_epochs": 3,
        "bound_kind": "cross_entropy",
        "data": {"name": "digits", "test": 297, "image_shape": [8, 8, 1]},
        "numbers": {"elbo": elbo},
    }
    folders = tmp_path / "one", tmp_path / "two, better"
    for folder in folders:
        folder.mkdir()
        (folder / "config.json").write_text('{"model": {"name": "mlp"}}')
        (folder / "eval.json").write_text(json.dumps(found))
        found["numbers"]["elbo"] = elbo | {"value": -23.0}
    return folders


def test_runs_are_compared_on_the_console_and_in_two_files(
    runs, tmp_path, monkeypatch, capsys
):
    one, two = runs
    monkeypatch.chdir(tmp_path)
    assert run("--mode=compare", f'--workdirs={one},"{two}"') == 0
    shown = capsys.readouterr().out
    assert "| elbo (nats per image) | -24.00 +- 0.50 | **-23.00 +- 0.50** |" in shown
    paths = [tmp_path / f"comparison.{kind}" for kind in ("md", "csv")]
    assert shown.endswith(f"written: {paths[0]} and {paths[1]}\n")
    assert "| two, better | mlp " in paths[0].read_text()
    lines = paths[1].read_text().splitlines()
    assert lines[2] == '"two, better",mlp,,3,best,-23.0,0.5'
    assert not list(one.glob("*.log"))
    assert run("--mode=compare", f'--workdirs={one},"{two}"', "--out=there") == 0
    assert (tmp_path / "there" / "comparison.md").is_file()


def test_a_run_without_evaluation_is_refused_with_the_command_that_makes_it(
    runs, tmp_path, capsys
):
    one, two = runs
    (two / "eval.json").unlink()
    out = f"--out={tmp_path / 'out'}"
    assert run("--mode=compare", f'--workdirs={one},"{two}"', out) == 2
    err = capsys.readouterr().err
    assert f"must name evaluated runs, but there is no {two}/eval.json; to make" in err
    assert f"python main.py --mode=eval --workdir='{two}'\n" in err
    assert not (tmp_path / "out").exists()


def test_runs_that_cannot_be_compared_are_refused(runs, tmp_path, capsys):
    one, two = runs
    out = f"--out={tmp_path / 'out'}"
    assert run("--mode=compare", f"--workdirs={one},{one}/", out) == 2
    assert "--workdirs: must all be different runs, got" in capsys.readouterr().err
    text = (two / "eval.json").read_text()
    (two / "eval.json").write_text(text.replace("cross_entropy", "density"))
    assert run("--mode=compare", f'--workdirs={one},"{two}"', out) == 2
    err = capsys.readouterr().err
    assert "bound_kind: cross_entropy in one; density in two, better" in err
    assert not (tmp_path / "out").exists()
