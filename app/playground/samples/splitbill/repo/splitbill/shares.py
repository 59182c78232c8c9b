"""Who pays how much."""


def shares(total: int, people: list[str]) -> dict[str, int]:
    """Split `total` cents evenly. Raises ValueError when there is nobody to pay."""
    return weighted_shares(total, dict.fromkeys(people, 1))


def weighted_shares(total: int, weights: dict[str, int]) -> dict[str, int]:
    """Split `total` cents by weight: somebody with weight 2 pays twice as much as one with 1."""
    if not weights:
        raise ValueError("there is nobody to pay")
    if any(weight < 1 for weight in weights.values()):
        raise ValueError("a weight must be 1 or more")
    whole = sum(weights.values())
    return {person: total * weight // whole for person, weight in weights.items()}
