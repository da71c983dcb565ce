"""The facade of Ona over HTTP."""
