"""`python -m api.cli`: the command `taskledger` without an installed script."""

from api.cli.main import main

main(prog_name="taskledger")
