"""Other systems' APIs over the same ledger."""
