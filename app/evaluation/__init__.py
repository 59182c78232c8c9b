"""Evaluating Honk on tasks with hidden tests: `honk eval`."""
