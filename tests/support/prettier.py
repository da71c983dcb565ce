"""Whether scripts are laid out as everywhere else."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.packages import node_environment, node_modules_with

PRETTIER: Final = "prettier@3.10.1"


def badly_laid_out(scripts: Sequence[Path]) -> list[str]:
    """Return the scripts that Prettier would lay out in another way."""
    program = node_modules_with(PRETTIER) / "node_modules" / "prettier" / "bin" / "prettier.cjs"
    done = subprocess.run(
        ["node", program, "--print-width", "100", "--list-different", *scripts],
        env=node_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == (not done.stdout), done.stderr
    return done.stdout.splitlines()
