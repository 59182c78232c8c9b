"""`python -m splitbill AMOUNT NAME...`"""

import sys

from splitbill import cents, shares, show


def main(arguments: list[str]) -> int:
    if len(arguments) < 2:
        print("usage: python -m splitbill AMOUNT NAME...", file=sys.stderr)
        return 2
    amount, *people = arguments
    for person, share in shares(cents(amount), people).items():
        print(f"{person}  {show(share)}")
    return 0


sys.exit(main(sys.argv[1:]))
