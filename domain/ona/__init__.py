"""Ona task definitions, and their executions as trees of core tasks."""
