"""Several evaluated runs in one table, if their numbers can stand side by side."""

from vae_jax.comparison.agreement import check
from vae_jax.comparison.runs import Run, labels, run_of
from vae_jax.comparison.tables import Comparison, compare
from vae_jax.comparison.writing import as_csv, as_markdown

__all__ = [
    "Comparison",
    "Run",
    "as_csv",
    "as_markdown",
    "check",
    "compare",
    "labels",
    "run_of",
]
