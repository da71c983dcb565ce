"""The HTTP API, asked over real connections."""
