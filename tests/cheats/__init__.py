"""Changes that cheat, and honest ones: what Honk says about them."""
