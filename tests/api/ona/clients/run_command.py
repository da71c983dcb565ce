"""The helper of gitpod-sdk that runs a command in an environment and yields what it prints."""

# It runs in an environment of its own, so its types are not known here.
# mypy: ignore-errors

import asyncio
import json
import os

from gitpod import AsyncGitpod
from gitpod.lib import run_command


async def main():
    async with AsyncGitpod() as client:
        found = []
        for command in ("first", "second"):
            lines = await run_command(client, os.environ["ENVIRONMENT"], command)
            found.append([line async for line in lines])
        return found


print(json.dumps(asyncio.run(main())))
