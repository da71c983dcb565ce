"""What a command asks of a server, and how it prints the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import quote

import click

from api.cli import output
from api.cli.failures import INTERRUPTED, failure_of
from api.client.documents import JsonObject, JsonValue
from api.client.errors import ClientError
from api.client.http import Connection, LedgerClient

T = TypeVar("T")


def api_path(*parts: str) -> str:
    """Return the path of an API resource; ids may hold any character."""
    return "/".join(("/api", *(quote(part, safe="") for part in parts)))


class Remote:
    """A server as a command sees it: plain calls that end the program when they fail."""

    def __init__(self, connection: Connection, *, as_json: bool) -> None:
        self.connection = connection
        self.as_json = as_json

    def run(self, action: Callable[[LedgerClient], Awaitable[T]]) -> T:
        """Return what the action returns; raises Failure when a request fails for good."""

        async def connected() -> T:
            async with LedgerClient(self.connection) as client:
                return await action(client)

        try:
            return asyncio.run(connected())
        except ClientError as error:
            raise failure_of(error) from error
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None

    def get(self, path: str, **query: JsonValue) -> JsonValue:
        """Return the answer to a GET."""
        return self.run(lambda client: client.get(path, **query))

    def post(
        self, path: str, body: JsonObject | None = None, *, repeatable: bool = False
    ) -> JsonValue:
        """Return the answer to a POST; see LedgerClient.post about `repeatable`."""
        return self.run(lambda client: client.post(path, body, repeatable=repeatable))

    def put(self, path: str, body: JsonObject) -> JsonValue:
        """Return the answer to a PUT."""
        return self.run(lambda client: client.put(path, body))

    def delete(self, path: str) -> JsonValue:
        """Return the answer to a DELETE."""
        return self.run(lambda client: client.delete(path))

    def show(self, answer: JsonValue, human: Callable[[JsonValue], None]) -> None:
        """Print the answer as JSON if that was asked for, else as `human` prints it."""
        if self.as_json:
            output.json_document(answer)
        else:
            human(answer)
