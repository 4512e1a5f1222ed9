"""Cited question answering over French documents."""
