"""The read models: pure folds of recorded events, with their tables and queries."""
