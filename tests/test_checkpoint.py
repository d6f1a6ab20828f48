"""Checkpoints: exact, kept as promised, and never silently wrong."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small

from configs import base
from vae_jax import checkpoint, files, objectives, train


def initial():
    """A small state with every field that a state can have."""
    model = small.model("mlp", (4, 4, 1), "gaussian", sigma_learnable=True)
    objective, tx = objectives.elbo("analytic", 1), optax.scale_by_adam()
    return train.make_init(model, objective, tx, use_ema=True)(jax.random.key(0))


@pytest.fixture(scope="module")
def first():
    return initial()


def at(first, step, best=0):
    params = jax.tree.map(lambda p: p + step, first.params)
    step, best = jnp.int32(step), jnp.int32(best)
    return first._replace(step=step, params=params, best_step=best)


@pytest.fixture
def saved(tmp_path):
    with checkpoint.Checkpoints(tmp_path) as made:
        yield made


def damage(saved, step):
    """Flips one byte in the middle of the largest file of a checkpoint."""
    files = [p for p in (saved.folder / str(step)).rglob("*") if p.is_file()]
    largest = max(files, key=lambda p: p.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    largest.write_bytes(content)


def test_every_leaf_comes_back_bit_for_bit(saved, first):
    state = at(first, 3)
    saved.save(state)
    found = saved.restore_latest(jax.eval_shape(lambda: first), repair=True)
    assert jax.tree.structure(found) == jax.tree.structure(state)
    assert checkpoint.digest(found) == checkpoint.digest(state)
    assert found.key.dtype == state.key.dtype


def test_kept_are_the_latest_two_and_the_best(saved, first):
    for step in range(1, 7):
        saved.save(at(first, step, best=min(step, 2)))
    assert saved.steps() == [2, 5, 6]


def test_the_ends_of_stages_are_kept_too(tmp_path, first):
    with checkpoint.Checkpoints(tmp_path, kept_steps={1, 3, 9}) as saved:
        for step in range(1, 7):
            saved.save(at(first, step, best=min(step, 2)))
        assert saved.steps() == [1, 2, 3, 5, 6]


def test_a_state_of_a_config_that_was_edited_since_is_refused(tmp_path, first):
    like, config = (
        jax.eval_shape(lambda: first),
        json.loads(base.get_config().to_json()),
    )
    with checkpoint.Checkpoints(tmp_path, config=config) as saved:
        saved.save(at(first, 1))
    config["train"]["epochs"] = [99]  # which may change
    with checkpoint.Checkpoints(tmp_path, config=config) as saved:
        assert saved.restore_latest(like, repair=True).step == 1
    config["loss"]["beta"], config["model"]["z_dim"] = 4.0, [7]
    message = (
        "1: must be of the run's config, but config.json was changed since: loss.beta "
        r"is 1.0 there, 4.0 here; model.z_dim is \[20\] there, \[7\] here"
    )
    with checkpoint.Checkpoints(tmp_path, config=config) as saved:
        with pytest.raises(ValueError, match=message):
            saved.restore_latest(like, repair=True)
        assert saved.steps() == [1]


def test_the_same_step_is_saved_once(saved, first):
    saved.save(at(first, 1))
    saved.save(at(first, 1))
    assert saved.steps() == [1]


def test_a_step_before_the_latest_is_not_passed_over_silently(saved, first):
    saved.save(at(first, 2))
    with pytest.raises(RuntimeError, match="checkpoint 1: step 2 is there"):
        saved.save(at(first, 1))


def test_without_a_checkpoint_there_is_nothing_to_restore(saved, first):
    assert saved.restore_latest(first, repair=True) is None
    with pytest.raises(ValueError, match=r"checkpoint: must be one of \[\], got 1"):
        saved.restore(1, first)


def test_a_damaged_checkpoint_is_moved_aside_and_the_one_before_is_used(
    saved, first, caplog, tmp_path
):
    for step in (1, 2):
        saved.save(at(first, step))
    damage(saved, 2)
    found = saved.restore_latest(first, repair=True)
    assert found.step == 1
    assert checkpoint.digest(found) == checkpoint.digest(at(first, 1))
    assert (tmp_path / "checkpoints_damaged" / "2").is_dir()
    saved.save(at(first, 2))  # the same step can be reached again
    assert saved.steps() == [1, 2]
    assert saved.restore_latest(first, repair=True).step == 2


def test_a_reader_leaves_a_damaged_checkpoint_where_it_is(saved, first):
    for step in (1, 2):
        saved.save(at(first, step))
    damage(saved, 2)
    assert saved.restore_latest(first, repair=False).step == 1
    assert saved.steps() == [1, 2]


def test_when_every_checkpoint_is_damaged_all_are_named_and_none_is_touched(
    saved, first
):
    for step in (1, 2):
        saved.save(at(first, step))
        damage(saved, step)
    with pytest.raises(ValueError, match="no checkpoint can be restored") as caught:
        saved.restore_latest(first, repair=True)
    for step in (1, 2):
        assert f"{saved.folder / str(step)}: damaged: its file " in str(caught.value)
    advice = (
        "Nothing was changed. Put back a copy of one, or train in another --workdir"
    )
    assert str(caught.value).endswith(advice)
    assert saved.steps() == [1, 2]


def test_the_digest_sees_one_bit_of_one_leaf(first):
    (leaf, *others), tree = jax.tree.flatten(first.params)
    bits = np.asarray(leaf).copy()
    bits.view(np.uint32).ravel()[0] ^= 1
    flipped = jax.tree.unflatten(tree, [jnp.asarray(bits), *others])
    changed = first._replace(params=flipped)
    assert checkpoint.digest(changed) != checkpoint.digest(first)


def renamed(state):
    """Its parameters under another name, in the same order."""
    return state._replace(params={f"{name}_": p for name, p in state.params.items()})


def as_numbers(state):
    return state._replace(key=jax.random.key_data(state.key))


def test_the_digest_sees_the_names_of_leaves(first):
    assert checkpoint.digest(renamed(first)) != checkpoint.digest(first)


@pytest.mark.parametrize(
    "change",
    [
        renamed,
        as_numbers,
        lambda state: state._replace(key=jax.random.key(0, impl="rbg")),
        lambda state: state._replace(step=jnp.zeros(1, jnp.int32)),
        lambda state: state._replace(step=jnp.float32(0)),
        lambda state: state._replace(ema=None),
    ],
    ids=["name", "key", "kind of key", "shape", "type", "leaf"],
)
def test_the_structure_has_name_shape_and_type_of_every_leaf(first, change):
    other = change(first)
    assert checkpoint.structure(other) != checkpoint.structure(first)
    shapes = jax.eval_shape(lambda: first)
    assert checkpoint.structure(shapes) == checkpoint.structure(first)


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        # What tensorstore says of a full disk: no OSError, but its number is there.
        ValueError("RESOURCE_EXHAUSTED: Failed to write [os_error_code='28']\nat x"),
    ],
)
def test_a_save_that_fails_leaves_nothing_and_is_no_more_than_an_error_of_the_disk(
    error,
    saved,
    first,
    monkeypatch,
):
    def fail(path, content):
        del content
        (path.with_name("3.orbax-checkpoint-tmp") / "state").mkdir(parents=True)
        raise error

    saved.save(at(first, 2))
    monkeypatch.setattr(saved._orbax, "save", fail)
    with pytest.raises(files.NotWritten) as caught:
        saved.save(at(first, 3))
    path = saved.folder / "3"
    assert str(caught.value) == f"{path}: cannot be written: No space left on device"
    assert {path.name for path in saved.folder.iterdir()} == {"2"}
    monkeypatch.undo()
    saved.save(at(first, 3))
    assert saved.restore_latest(first, repair=True).step == 3


def test_a_mistake_of_the_program_is_no_error_of_the_disk(
    saved,
    first,
    monkeypatch,
):
    def fail(path, content):
        raise ValueError("zero size")

    monkeypatch.setattr(saved._orbax, "save", fail)
    with pytest.raises(ValueError, match=r"^zero size$"):
        saved.save(at(first, 3))


def test_checkpoints_that_were_deleted_while_it_trains_are_begun_anew(
    saved,
    first,
):
    saved.save(at(first, 2))
    shutil.rmtree(saved.folder)
    saved.save(at(first, 3))
    assert saved.restore_latest(first, repair=True).step == 3


def test_no_run_directory_is_made_in_place_of_one_that_is_gone(
    saved,
    first,
    tmp_path,
):
    shutil.move(tmp_path, tmp_path.with_name("moved"))
    with pytest.raises(files.NotWritten, match="3: cannot be written: No such file"):
        saved.save(at(first, 3))
    assert not tmp_path.exists()


def test_a_checkpoint_that_cannot_be_deleted_is_said_and_training_goes_on(
    saved,
    first,
    monkeypatch,
    caplog,
):
    def refuse(path):
        raise OSError(16, "Device or resource busy")

    for step in (1, 2):
        saved.save(at(first, step))
    monkeypatch.setattr(shutil, "rmtree", refuse)
    saved.save(at(first, 3))
    assert "1: cannot be deleted: Device or resource busy" in caplog.text
    assert saved.steps() == [2, 3]  # half deleted, it has lost its name at least
