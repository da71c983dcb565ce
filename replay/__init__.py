"""The recorded log: append, follow, rebuild, verify, export."""
