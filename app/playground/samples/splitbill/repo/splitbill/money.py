"""Money as whole cents."""


def cents(text: str) -> int:
    """Read an amount such as `12`, `12.5` or `12.50`. Raises ValueError for anything else."""
    whole, point, part = text.strip().partition(".")
    if not whole.isdigit() or (point and not part.isdigit()) or len(part) > 2:
        raise ValueError(f"{text!r} is not an amount of money")
    return int(whole) * 100 + int(part.ljust(2, "0") or 0)


def show(amount: int) -> str:
    """Write cents as people do: 1234 is `12.34`."""
    return f"{amount // 100}.{amount % 100:02d}"
