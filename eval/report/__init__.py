"""Runs and comparisons shown to people: tables in a terminal, pages in a browser."""
