"""`python -m app` is the same as `honk`."""

from app.cli import main

main()
