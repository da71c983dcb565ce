"""Ona's (Gitpod's) EnvironmentAutomationService: tasks and task executions."""
