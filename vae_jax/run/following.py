"""What every process but the first of a team does."""

import signal
import sys

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from vae_jax.run import stepping, team
from vae_jax.run.session import Refused, assemble


def follow(config: ConfigDict) -> int:
    """Takes the steps that the first process says; returns the exit code of that one.

    It writes nothing. Signals that end a run are sent to every process of it, and the
    first sees to it that it ends well.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    job = feed = state = None
    try:
        job = assemble(config)
        feed = stepping.feed_of(job, config)
    except Refused as error:
        # Not the end, as the first would wait: it finds out when it compares.
        job = None
        print(f"main.py: process {jax.process_index()}: {error}", file=sys.stderr)
    while True:
        what, number = team.told()
        if what == team.END:
            return number
        if what == team.COMPARE:
            team.compare(config, job)
        elif what == team.STATE:
            nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), job.shapes)
            state = feed.begin(nothing)
        else:
            state = feed.take(job.phase_at(int(state.step)), state, number)
