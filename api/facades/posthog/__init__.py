"""The PostHog Tasks API over the ledger."""
