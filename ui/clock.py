"""The visitor's time: what is today depends on where one is."""

from __future__ import annotations

from datetime import date, datetime, tzinfo
from zoneinfo import ZoneInfo

import streamlit as st

__all__ = ["today", "visitor_zone"]


def visitor_zone() -> tzinfo | None:
    """Return the visitor's time zone, None for this machine's where it is not known."""
    name = st.context.timezone
    try:
        return ZoneInfo(name) if name else None
    except (ValueError, OSError, KeyError):
        return None  # A name that this machine does not know.


def today() -> date:
    """Return the day that it is for the visitor."""
    return datetime.now(visitor_zone()).date()
