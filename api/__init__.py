"""The edge: HTTP routes, facades, feed, command line and the composition root."""
