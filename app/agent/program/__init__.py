"""Shared by engines whose agent is a program in a sandbox: the model's port and the records."""
