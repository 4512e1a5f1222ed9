"""Measure Citadelle: deterministic, offline, and without a judge."""
