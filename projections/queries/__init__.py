"""What clients ask of the read models: pure functions over a reader, each with a bounded cost."""
