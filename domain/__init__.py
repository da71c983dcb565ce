"""The rules of the ledger: commands, decisions, events. Pure."""
