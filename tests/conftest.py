"""Settings of all tests."""

import os

from hypothesis import settings

# The same examples each time where a change is judged; new ones wherever somebody works on it.
settings.register_profile("ci", derandomize=True, print_blob=True)
settings.register_profile("work", print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "work")
