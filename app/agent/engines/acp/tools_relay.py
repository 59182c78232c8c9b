"""Runs inside the sandbox: an MCP server on stdin and stdout whose tools are the worker's.

Standard library only, Python 3.8 or newer. Each line is forwarded to the worker's port unchanged,
and the answer is written back.
"""

import json
import sys
import threading
import urllib.request


def main() -> None:
    url, lock = sys.argv[1], threading.Lock()

    def relay(line: bytes) -> None:
        request = urllib.request.Request(  # noqa: S310 - the sandbox's own loopback
            url, line, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as response:  # noqa: S310
            answer = response.read().strip()
        if answer != b"{}":
            with lock:
                print(json.dumps(json.loads(answer)), flush=True)

    for line in sys.stdin.buffer:
        if line.strip():
            threading.Thread(target=relay, args=(line,), daemon=False).start()


if __name__ == "__main__":
    main()
