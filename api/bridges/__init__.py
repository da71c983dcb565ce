"""Bridges: signed webhooks that tell how tasks end."""
