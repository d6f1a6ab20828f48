"""Compiled functions on disk: they save time, and change nothing else."""

import logging
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from jax.experimental.compilation_cache.compilation_cache import reset_cache

import main
from vae_jax import compilation, files
from vae_jax.run import final

HIT = "/jax/compilation_cache/cache_hits"
MISS = "/jax/compilation_cache/cache_misses"
OPTIONS = [
    "jax_enable_compilation_cache",
    "jax_compilation_cache_dir",
    *compilation.SETTINGS,
]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Where functions are kept from now on: nowhere but in this test's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = {name: getattr(jax.config, name) for name in OPTIONS}
    jax.config.update("jax_compilation_cache_dir", None)
    reset_cache()
    compilation.keep(True)
    yield tmp_path / "vae_jax" / "xla"
    for name, value in before.items():
        jax.config.update(name, value)
    reset_cache()


@pytest.fixture
def events():
    """What JAX says of its cache."""
    seen = []

    def note(event, **_):
        if event in (HIT, MISS):
            seen.append(event)

    jax.monitoring.register_event_listener(note)
    yield seen
    jax.monitoring.unregister_event_listener(note)


@pytest.fixture
def said(caplog, monkeypatch):
    monkeypatch.setattr(compilation.LOGGER, "propagate", True)
    caplog.set_level(logging.INFO, compilation.LOGGER.name)
    return caplog


def compute():
    """As a new process would: with a function that was never compiled in this one."""
    return np.asarray(jax.jit(lambda x: jnp.tanh(x @ x))(np.eye(3, dtype=np.float32)))


def entry(root):
    (path,) = root.rglob("jit__lambda*")
    return path


def test_what_one_process_compiles_another_reads(root, events):
    first = compute()
    assert events == [MISS]
    assert entry(root).parent == root / compilation.kind_of_machine()
    os.utime(entry(root), (0, 0))
    np.testing.assert_array_equal(compute(), first)
    assert events == [MISS, HIT]
    assert entry(root).stat().st_mtime > 0  # used last when it was last read


def flipped(place):
    def damage(path):
        content = bytearray(path.read_bytes())
        content[place] ^= 1
        path.write_bytes(content)

    return damage


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    "damage",
    [flipped(0), flipped(1000), flipped(-1), cut, lambda path: path.write_bytes(b"")],
    ids=["sum", "content", "end", "cut", "empty"],
)
def test_a_damaged_file_is_said_and_made_anew(root, events, said, damage):
    # That JAX does not read it is seen from the lack of its warnings, too.
    first, whole = compute(), entry(root).read_bytes()
    damage(entry(root))
    np.testing.assert_array_equal(compute(), first)
    assert said.messages == [f"compilation cache: {entry(root)}: damaged; made anew"]
    # All but the compile time, in seconds, are the same bytes before they are zipped.
    assert len(entry(root).read_bytes()) == pytest.approx(len(whole), abs=20)
    np.testing.assert_array_equal(compute(), first)
    assert events == [MISS, MISS, HIT]


def test_a_folder_in_place_of_a_file_is_done_without(root, events, said):
    first, path = compute(), entry(root)
    path.unlink()
    path.mkdir()
    for _ in range(2):
        np.testing.assert_array_equal(compute(), first)
    assert said.messages == [
        f"compilation cache: {path.parent}: Is a directory; done without"
    ]
    assert HIT not in events


def test_a_disk_that_takes_nothing_is_said_once_and_done_without(
    root, said, monkeypatch
):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", fail)
    first = compute()
    np.testing.assert_array_equal(compute(), first)
    assert said.messages == [
        f"compilation cache: {root / compilation.kind_of_machine()}: "
        "No space left on device; done without"
    ]
    assert not [path for path in root.rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_made_is_said_and_done_without(
    root, tmp_path, said, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    jax.config.update("jax_compilation_cache_dir", None)
    compilation.keep(True)
    assert jax.config.jax_compilation_cache_dir is None
    (message,) = said.messages
    assert message.startswith(f"compilation cache: {tmp_path}/file/vae_jax/xla/")
    assert message.endswith(": Not a directory; done without")


def test_a_folder_that_the_user_has_chosen_is_left_to_jax(root, tmp_path, events):
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
    compilation.keep(True)
    reset_cache()
    compute()
    assert events == [MISS]
    assert list((tmp_path / "own").glob("jit__lambda*-cache"))
    assert not list(root.rglob("jit__lambda*"))


def test_without_a_cache_nothing_is_kept_or_read(root, tmp_path, events):
    compute()
    compilation.keep(False)
    reset_cache()
    compute()
    assert events == [MISS]


def test_machines_with_other_cores_have_folders_of_their_own(monkeypatch):
    own = compilation.kind_of_machine()
    assert own == compilation.kind_of_machine()
    monkeypatch.setenv("NPROC", "77")  # with which XLA takes that to be their number
    assert compilation.kind_of_machine() != own
    monkeypatch.delenv("NPROC")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(77), raising=False)
    assert "_77_cores_" in compilation.kind_of_machine()


def test_what_was_not_used_for_longest_is_deleted_first(tmp_path):
    for age, name in enumerate(["new", "old/b", "old/a"]):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(100))
        os.utime(path, (1000 - age, 1000 - age))
    compilation.trim(tmp_path, 200)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["b", "new", "old"]
    compilation.trim(tmp_path, 199)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["new"]


def test_a_file_of_the_cache_has_the_names_that_jax_may_give_it(tmp_path):
    folder = epath.Path(f"{compilation.SCHEME}{tmp_path}")
    assert isinstance(folder, compilation.Checked)
    assert not (folder / "a").exists()
    folder.joinpath("a").write_bytes(b"b")
    assert (folder / "a").read_bytes() == b"b"
    with pytest.raises(FileNotFoundError, match=r"compilation cache: no .*/c"):
        (folder / "c").read_bytes()


def test_a_run_is_the_same_to_the_bit_with_a_new_cache_a_known_one_and_none(
    root, tmp_path, events, monkeypatch
):
    monkeypatch.chdir(main.ROOT)
    monkeypatch.setattr(final, "finish", lambda *_: None)  # the state is saved by then
    small = ["train.epochs=2", "data.limit=128", "model.hidden_dim=8", "optim.ema=0.9"]
    small += ["eval.pictures_every=0", "data.binarize=dynamic"]
    flags = [f"--config.{field}" for field in small]
    found = {}
    for name in ("new", "known", "none"):
        folder = tmp_path / name
        args = ["--nocompilation_cache"] * (name == "none")
        args += ["--config=configs/digits_mlp.py", f"--workdir={folder}", *flags]
        events.clear()
        reset_cache()  # or JAX keeps to what it found when it first compiled
        assert main.main(["main.py", *args]) == 0
        saved = max((folder / "checkpoints").iterdir(), key=lambda p: int(p.name))
        found[name] = (saved / "meta" / "metadata").read_text()
        assert set(events) == {"new": {MISS}, "known": {HIT}, "none": set()}[name]
    assert "sha256" in found["none"]
    assert found["new"] == found["known"] == found["none"]
