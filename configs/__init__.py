"""Experiment configs: ``get_config()`` of each starts from ``base``'s and alters it."""
