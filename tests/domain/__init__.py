"""The rules of the domain, decided on a world in memory."""
