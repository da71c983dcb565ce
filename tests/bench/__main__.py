"""Command line: `python -m tests.bench`."""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from projections.catalog import PROJECTORS
from tests.bench import (
    as_of,
    beside,
    catch_up,
    claim_wait,
    claims,
    http_commands,
    in_postgresql,
    in_process,
    reads,
    rebuild,
    rebuild_postgresql,
    restart,
    scale,
    sse_lag,
)
from tests.bench.case import Options
from tests.bench.measure import Result
from tests.bench.progress import Reporter
from tests.bench.report import as_json, print_table

_REBUILT_QUICKLY: Final = frozenset({"backlog", "timeline"})

CASES: Final[Mapping[str, Callable[[Options], list[Result]]]] = {
    module.NAME: module.run
    for module in (
        http_commands,
        in_process,
        in_postgresql,
        claims,
        claim_wait,
        catch_up,
        sse_lag,
        scale,
        restart,
        as_of,
        reads,
        rebuild,
        rebuild_postgresql,
        beside,
    )
}


def measure(names: tuple[str, ...], options: Options) -> list[Result]:
    """Run the named cases, or all of them, in order."""
    results = []
    for name, run in CASES.items():
        if not names or name in names:
            options.reporter.say(name)
            results += run(options)
    return results


def options_of(
    *, quick: bool, folder: Path, cache: Path | None = None, tasks: int | None = None
) -> Options:
    """Return how to measure; `quick` shows within seconds that everything works, no more."""
    return Options(
        rounds=1 if quick else 7,
        seconds=0.1 if quick else 2.0,
        tasks=tasks or (2_000 if quick else 1_000_000),
        events=2_000 if quick else 100_000,
        subscribers=20 if quick else 200,
        rivals=not quick,
        rebuilt=tuple(each for each in PROJECTORS if not quick or each.name in _REBUILT_QUICKLY),
        folder=folder,
        cache=cache or folder,
        reporter=Reporter(),
    )


@click.command()
@click.option("--only", multiple=True, type=click.Choice([*CASES]), help="Run this case.")
@click.option("--quick", is_flag=True, help="Short rounds and small ledgers: figures mean nothing.")
@click.option("--tasks", type=click.IntRange(1_000), help="Tasks in the large ledger.")
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the large ledger in this folder for the next time.",
)
@click.option("--json", "json_file", type=click.File("wb"), help="Write JSON there, - for stdout.")
def main(
    only: tuple[str, ...], quick: bool, tasks: int | None, cache: Path | None, json_file: object
) -> None:
    """Measure the server, each figure beside a reference taken in the same run."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="taskledger-bench-")))
        options = options_of(quick=quick, folder=folder, cache=cache, tasks=tasks)
        results = measure(only, options)
    if json_file is not None:
        json_file.write(as_json(results))  # type: ignore[attr-defined]
    print_table(results, Console(stderr=json_file is not None))


if __name__ == "__main__":
    main()
