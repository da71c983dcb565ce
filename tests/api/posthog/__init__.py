"""The PostHog Tasks API over HTTP."""
