"""How the Tempest API refuses."""

from typing import Final, Literal

import msgspec
from msgspec import Struct

from api.answers import Answer
from api.dialects import Dialect, Refused
from api.errors import MASKED_FROM, phrase_of
from api.redaction import redact


class TempestErrorResponse(Struct, frozen=True):
    """Every refusal."""

    status: Literal["error"]
    error: str


_ENCODE: Final = msgspec.json.Encoder().encode


def _refuse(refused: Refused) -> Answer:
    status = refused.status
    text = phrase_of(status) if status >= MASKED_FROM else refused.text
    body = _ENCODE(TempestErrorResponse("error", text))
    return Answer(status, redact(body), refused.headers)


DIALECT: Final = Dialect(prefix="/api/v1/", refuse=_refuse)
