"""PostHog Tasks over the ledger: its tasks are definitions, each of its runs is a task here."""
