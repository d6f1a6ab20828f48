"""Rows of published tables, one config each."""
