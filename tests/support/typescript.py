"""Whether scripts that run as they are written have the types that their comments tell."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.packages import node_environment, node_modules_with

# The last that runs in Node.js: a later one is a program of its own for each system.
TYPESCRIPT: Final = "typescript@6.0.3"
_OPTIONS: Final = (
    *("--allowJs", "--checkJs", "--noEmit", "--skipLibCheck", "--pretty", "false"),
    *("--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess"),
    *("--noFallthroughCasesInSwitch", "--noImplicitReturns"),
    *("--noUnusedLocals", "--noUnusedParameters"),
    *("--target", "es2024", "--lib", "es2024,dom,dom.iterable"),
    *("--module", "esnext", "--moduleResolution", "bundler"),
)


def type_errors(scripts: Sequence[Path]) -> list[str]:
    """Return what TypeScript says against modules for browsers, nothing when all is well."""
    compiler = node_modules_with(TYPESCRIPT) / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run(
        ["node", compiler, *_OPTIONS, *scripts],
        env=node_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == (not done.stdout), done.stderr
    return done.stdout.splitlines()
