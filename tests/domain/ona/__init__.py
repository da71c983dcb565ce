"""Ona tasks and their executions."""
