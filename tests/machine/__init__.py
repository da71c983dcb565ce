"""The whole API against a plain model of it, over random sequences of requests."""
