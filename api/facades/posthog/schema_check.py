"""Checks an output in a process of its own: `python -m api.facades.posthog.schema_check`.

A schema is a stranger's program: a short one whose references double at each step runs for days,
and the validator lets no other thread of its process run meanwhile. The kernel ends this process
when it has worked for `SECONDS`. It reads a JSON list of schema and output, and prints a fault.
"""

import asyncio
import resource
import subprocess
import sys
from typing import Any, Final

import jsonschema_rs
import msgspec

SECONDS: Final = 2
"""Processor time of one check, with the start of Python."""

_COMMAND: Final = (sys.executable, "-m", "api.facades.posthog.schema_check")


async def fault_of(schema: bytes, output: bytes) -> str:
    """Return what is wrong with an output by its schema, both JSON; empty when nothing is."""
    sent = b"[%b,%b]" % (schema, output)
    done = await asyncio.to_thread(
        subprocess.run, _COMMAND, input=sent, stdout=subprocess.PIPE, check=False
    )
    if done.returncode < 0:
        return f"output cannot be checked by json_schema within {SECONDS} s"
    done.check_returncode()
    return done.stdout.decode()


def check(schema: Any, output: Any) -> str:
    """Return what is wrong; nothing is fetched, and patterns take linear time."""
    try:
        validator = jsonschema_rs.validator_for(
            schema, offline=True, pattern_options=jsonschema_rs.RegexOptions()
        )
    except ValueError as error:
        return f"the json_schema of the task is no JSON schema: {error}".partition("\n")[0]
    found = next(validator.iter_errors(output), None)
    if found is None:
        return ""
    where = ".".join(map(str, found.instance_path)) or "output"
    return f"output is not as json_schema says: {where}: {found.message}"


def main() -> None:
    """Answer what is on standard input."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    schema, output = msgspec.json.decode(sys.stdin.buffer.read())
    sys.stdout.buffer.write(check(schema, output).encode())


if __name__ == "__main__":
    main()
