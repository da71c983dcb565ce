"""The task API as it was agreed on, and whether the server keeps to it."""
