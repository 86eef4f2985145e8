"""`bellhop conform --role smsc` against the partners' door and against our simulator: both pass every case."""

from __future__ import annotations
