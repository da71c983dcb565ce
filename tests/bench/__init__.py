"""Measurements: every result is compared with something measured beside it in the same run."""
