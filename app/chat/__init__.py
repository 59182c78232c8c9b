"""Asking Honk from a chat, and the answers there. Imported only where HONK_SLACK is set."""
