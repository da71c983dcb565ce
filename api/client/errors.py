"""How a request can fail, as exceptions whose text is fit for one line on a terminal."""

from api.client.documents import JsonObject, JsonValue, at, text_at


class ClientError(Exception):
    """A request that did not lead to an answer the caller can use."""


class UnreachableError(ClientError):
    """No server answered at the address, or not in time; whether it acted may be unknown."""

    def __init__(self, server: str, cause: str) -> None:
        self.server = server
        self.cause = cause
        super().__init__(f"cannot reach {server}: {cause}")


class ProtocolError(ClientError):
    """Something answered, but not as the API says."""


class ApiError(ClientError):
    """The server refused the request or failed; `diagnostic` is its structured reason, if any."""

    def __init__(self, status: int, text: str, diagnostic: JsonObject | None = None) -> None:
        self.status = status
        self.text = text
        self.diagnostic = diagnostic
        super().__init__(f"{text} (HTTP {status})")

    @property
    def code(self) -> str:
        """The code of the diagnostic, empty without one."""
        return text_at(self.diagnostic, "code")

    @property
    def refused(self) -> bool:
        """Whether the request itself is at fault, so that repeating it cannot help."""
        return self.status < 500  # noqa: PLR2004 - the first status of a failing server


def error_of(status: int, phrase: str, body: JsonValue) -> ApiError:
    """Return the error that a response with this status and decoded body stands for."""
    diagnostic = at(body, "diagnostic")
    text = text_at(body, "error") or phrase
    return ApiError(status, text, diagnostic if isinstance(diagnostic, dict) else None)
