"""The proc-receive hook of every repository: accepts or refuses each pushed ref.

Runs as a separate script inside `git receive-pack`, so that a refusal has GitHub's reason on its
ref. Its input is in HONK_PUSH_RULES: `{"workflows": bool, "default": ref, "page": url, "only":
[ref] or null, "refused": [[pattern, text]], "rules": [rule], "passed": {sha: [context]}, "signed":
[sha]}`, with rules as in `push_rules`; the refs that met a rule of `refused` go, a line each, into
the file HONK_PUSH_USED. The exchange is described in githooks(5), "proc-receive".
"""

import fnmatch
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

# The folder of this script is not on the path of an isolated interpreter.
sys.path.insert(0, str(Path(__file__).parent))
from push_rules import ZERO, RefMove, violations  # type: ignore[import-not-found]


def read_packets() -> list[bytes]:
    packets = []
    while (size := int(sys.stdin.buffer.read(4), 16)) > 0:
        packets.append(sys.stdin.buffer.read(size - 4))
    return packets


def write_packets(*packets: bytes) -> None:
    for packet in packets:
        sys.stdout.buffer.write(b"%04x%s" % (len(packet) + 4, packet))
    sys.stdout.buffer.write(b"0000")
    sys.stdout.buffer.flush()


def changed_workflow(new: str) -> str | None:
    arguments = ["git", "log", "--format=", "--name-only", "-z", "-c", new, "--not", "--branches"]
    out = subprocess.run([*arguments, "--", ".github/workflows"], capture_output=True, check=True)
    names = [name for name in out.stdout.split(b"\0") if name.strip()]
    return names[0].strip().decode(errors="replace") if names else None


def refusal(order: dict, old: str, new: str, ref: str) -> str | None:  # type: ignore[type-arg]
    for pattern, text in order["refused"]:
        if fnmatch.fnmatchcase(ref, pattern):
            with Path(os.environ["HONK_PUSH_USED"]).open("a") as used:
                used.write(f"{ref}\n")
            return by_rulesets(order, ref, [text])
    if order["only"] is not None and ref not in order["only"]:
        return "permission denied"
    move = RefMove(ref, old, new, order["default"], order["passed"], frozenset(order["signed"]))
    found = violations(order["rules"], move)
    if texts := [one.text for one in found if one.family == "protection"]:
        print(f"error: GH006: Protected branch update failed for {ref}.", file=sys.stderr)
        for text in texts:
            print(f"error: {text}", file=sys.stderr)
        return "protected branch hook declined"
    if found:
        return by_rulesets(order, ref, [one.text for one in found])
    if new == ZERO:
        return f"refusing to delete the current branch: {ref}" if ref == order["default"] else None
    workflow = None if order["workflows"] else changed_workflow(new)
    if workflow:
        return (
            f"refusing to allow a GitHub App to create or update workflow `{workflow}` "
            "without `workflows` permission"
        )
    return None


def by_rulesets(order: dict, ref: str, texts: list[str]) -> str:  # type: ignore[type-arg]
    page = f"{order['page']}/rules?ref={quote(ref, safe='')}"
    print(f"error: GH013: Repository rule violations found for {ref}.", file=sys.stderr)
    print(f"Review all repository rules at {page}", file=sys.stderr)
    for text in texts:
        print(f"\n- {text}", file=sys.stderr)
    print(file=sys.stderr)
    return "push declined due to repository rule violations"


def main() -> None:
    order = json.loads(os.environ["HONK_PUSH_RULES"])
    read_packets()
    write_packets(b"version=1\n")
    answers = []
    for packet in read_packets():
        old, new, ref = packet.decode(errors="surrogateescape").rstrip("\n").split(" ", 2)
        name = ref.encode(errors="surrogateescape")
        reason = refusal(order, old, new, ref)
        if reason:
            answers.append(b"ng %s %s" % (name, reason.encode()))
        else:
            answers += [b"ok %s" % name, b"option fall-through"]
    write_packets(*answers)


if __name__ == "__main__":
    main()
