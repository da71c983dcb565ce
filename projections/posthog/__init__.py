"""Read models of the PostHog Tasks API."""
