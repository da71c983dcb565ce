"""The task aggregate: a task with its runs, leases and dependencies is one consistency boundary."""
