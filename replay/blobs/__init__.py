"""Bytes that events name by their digest: artifacts and logs too large for an event."""
