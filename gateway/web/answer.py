"""The base of every answer's model."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """What every answer holds to: exactly these members."""

    model_config = ConfigDict(extra="forbid", strict=True)
