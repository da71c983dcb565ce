"""Ona tasks, executions and steps as rows."""
