"""The one base of every value that crosses a file boundary: frozen, and an unknown key is an error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value: it cannot be changed after it was validated, and a key it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
