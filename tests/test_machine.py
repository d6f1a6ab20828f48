"""What the process may use of its machine."""

import os
import resource

import pytest

from vae_jax import machine

ALL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
MANY = 2**63 - 4096  # what version 1 says where there is no limit


def test_the_cores_are_no_more_than_the_machine_has():
    assert 1 <= machine.cores() <= os.cpu_count()


@pytest.mark.parametrize(
    ("soft", "hard", "more", "raised"),
    [
        (256, 4096, 100, 356),
        (256, 300, 100, 300),
        (256, resource.RLIM_INFINITY, 100, 356),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 100, None),
    ],
)
def test_more_files_may_be_opened_as_far_as_the_system_lets(
    monkeypatch, soft, hard, more, raised
):
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda of: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda of, both: asked.append(both))
    machine.open_more_files(more)
    assert asked == ([] if raised is None else [(raised, hard)])


def test_a_limit_that_cannot_be_raised_is_left(monkeypatch):
    def refused(of, both):
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda of: (256, 4096))
    monkeypatch.setattr(resource, "setrlimit", refused)
    machine.open_more_files(100)


@pytest.mark.parametrize(
    ("groups", "limits", "memory"),
    [
        (None, {}, ALL),  # no control groups at all
        ("0::/\n", {"memory.max": "max\n"}, ALL),
        ("0::/\n", {"memory.max": "1048576\n"}, 1048576),
        ("0::/\n", {"memory.max": f"{ALL + 4096}\n"}, ALL),
        ("0::/\n", {"memory.max": "many\n"}, ALL),
        # Of a job, and of all that one user's jobs have together.
        ("0::/u/job\n", {"u/job/memory.max": "8192", "u/memory.max": "max"}, 8192),
        ("0::/u/job\n", {"u/job/memory.max": "8192", "u/memory.max": "4096"}, 4096),
        # In a container, which does not see its own folder by the name outside.
        ("0::/docker/1f\n", {"memory.max": "4096"}, 4096),
        (
            "9:name=systemd:/\n4:memory:/a\n1:cpu:/b\n0::/\n",
            {"memory/a/memory.limit_in_bytes": "4096", "memory.max": "max"},
            4096,
        ),
        ("4:cpu,memory:/a\n", {"memory/a/memory.limit_in_bytes": f"{MANY}"}, ALL),
        ("4:cpu,memory:/a\n", {"memory/memory.limit_in_bytes": "4096"}, 4096),
        ("4:cpu:/a\n", {"memory/a/memory.limit_in_bytes": "4096"}, ALL),
    ],
)
def test_the_memory_is_the_machine_s_or_what_its_groups_are_held_to(
    tmp_path, groups, limits, memory
):
    if groups is not None:
        (tmp_path / "groups").write_text(groups)
    for name, text in limits.items():
        file = tmp_path / "limits" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert machine.memory(tmp_path / "groups", tmp_path / "limits") == memory
