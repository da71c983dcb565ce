"""Tempest Private Apps: what its CLI calls, and how to ask something of an app."""
