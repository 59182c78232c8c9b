"""`honk init`: create the GitHub App, install it, and check that everything works, on one page.

The page is served on loopback by this process alone. `honk web` has no part in it: the App's
private key goes from GitHub's answer straight into `.env`.
"""
