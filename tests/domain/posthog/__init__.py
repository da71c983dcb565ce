"""Deciding for the PostHog Tasks API."""
