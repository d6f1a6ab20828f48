"""The same models in PyTorch, to compare with. Needs benchmarks/requirements.txt."""
