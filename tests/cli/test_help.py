from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from api.cli.main import main


def commands_below(group: click.Group, *words: str) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands_below(command, *words, name)
        else:
            yield (*words, name)


COMMANDS = list(commands_below(main))


def help_of(*words: str) -> str:
    outcome = CliRunner().invoke(main, [*words, "--help"], prog_name="taskledger")
    assert outcome.exit_code == 0
    return outcome.output


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_help_of_a_command_says_what_it_does(words: tuple[str, ...]) -> None:
    usage, _, rest = help_of(*words).partition("\n\n")

    assert usage.startswith(f"Usage: taskledger {' '.join(words)}")
    assert rest.strip().partition("\n")[0]
    assert "env var: TASKLEDGER_" in rest


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_has_a_help_text_and_a_variable(words: tuple[str, ...]) -> None:
    command: click.Command = main
    context = click.Context(main, info_name="taskledger", **main.context_settings)
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(context, word)
        assert found is not None
        command = found
        context = click.Context(command, parent=context, info_name=word)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            _, shown = parameter.get_help_record(context) or ("", "")
            assert "env var: TASKLEDGER_" in shown, parameter.name
            assert parameter.help, parameter.name


def test_the_main_help_has_examples_and_exit_codes() -> None:
    text = help_of()

    assert "taskledger work --exec" in text
    assert "the server cannot be reached" in text


def test_the_version_is_told() -> None:
    assert (
        CliRunner()
        .invoke(main, ["--version"], prog_name="taskledger")
        .output.startswith("taskledger ")
    )
