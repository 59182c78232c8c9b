"""What a worker asks of its machine."""

from __future__ import annotations

import resource
import subprocess
import sys

_BEGIN = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard}))
from app.worker import allow_many_open_files
allow_many_open_files()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_a_worker_may_open_more_files_than_it_is_given_at_first() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    done = subprocess.run(
        [sys.executable, "-c", _BEGIN.format(hard=hard)], capture_output=True, text=True, check=True
    )
    most = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    assert done.stdout.split() == [str(most), str(hard)]
