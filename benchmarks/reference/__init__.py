"""The same models in PyTorch, which is needed here and nowhere else."""
