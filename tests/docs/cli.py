"""The reference of the command line, from the commands themselves."""

import inspect
import re
from collections.abc import Iterator
from typing import Any, Final

import click

from api.cli.failures import EXIT_CODES
from api.cli.main import main
from tests.docs.markdown import anchor, code, page, table

_INTRODUCTION: Final = """\
# Command line

`taskledger --help`, and `--help` of any command, says what this page says. Every option can be set
by its environment variable; the option goes first. Commands that ask a server find it by
`--server`; those with `--store` work on the store itself. Output is a table for people, and JSON
with `--json`. Failures are one line on standard error."""
_FENCE: Final = "```text"


def cli() -> str:
    """Return the page."""
    commands = list(_below(main, click.Context(main, info_name="taskledger"), ()))
    contents = "\n".join(f"* [{name}](#{anchor(name)})" for name, _, _ in commands)
    return page(
        _INTRODUCTION,
        "## Exit codes",
        _exit_codes(),
        "## Commands",
        contents,
        *(block for entry in commands for block in _command(*entry)),
    )


def _exit_codes() -> str:
    rows = [line.split(maxsplit=1) for line in EXIT_CODES.splitlines()[2:]]
    return table(("code", "meaning"), rows)


def _below(
    group: click.Group, context: click.Context, words: tuple[str, ...]
) -> Iterator[tuple[str, click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(
            command, parent=context, info_name=name, auto_envvar_prefix=_prefix(*words, name)
        )
        if isinstance(command, click.Group):
            yield from _below(command, inner, (*words, name))
        else:
            yield " ".join(("taskledger", *words, name)), command, inner


def _prefix(*words: str) -> str:
    return "_".join(("TASKLEDGER", *words)).upper().replace("-", "_")


def _command(name: str, command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"### {name}"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"{_FENCE}\n{name} {usage}\n```"
    yield from map(_paragraph, re.split(r"\n\s*\n", inspect.cleandoc(command.help or "")))
    options = [each for each in command.params if isinstance(each, click.Option)]
    yield table(("option", "variable", "meaning"), (_option(each, context) for each in options))


def _paragraph(text: str) -> str:
    """Return a paragraph; one that click is told not to wrap (\\b) stands as it is."""
    if text.startswith("\b"):
        return f"{_FENCE}\n{text.lstrip(chr(8)).strip(chr(10))}\n```"
    return text.replace("\n", " ")


def _option(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    names = ", ".join(map(code, (*option.opts, *option.secondary_opts)))
    metavar = "" if option.is_flag else f" {code(option.make_metavar(context))}"
    variable: Any = option.envvar or f"{context.auto_envvar_prefix}_{(option.name or '').upper()}"
    told = [option.help or "", *_extra(option, context)]
    return names + metavar, code(str(variable)), " ".join(filter(None, told))


def _extra(option: click.Option, context: click.Context) -> Iterator[str]:
    extra = option.get_help_extra(context)
    if "default" in extra:
        yield f"Default: {code(extra['default'])}."
    if "range" in extra:
        yield f"Range: {code(extra['range'])}."
    if "required" in extra:
        yield "Required."
