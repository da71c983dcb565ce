"""The ledger in PostgreSQL: `PERSISTENCE_MODULE=replay.postgresql.recorder`."""
