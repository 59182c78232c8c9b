"""The system calls that a sandbox refuses besides what its namespaces already close.

An allowing filter with holes closed: what a build or a test needs goes through, what reaches past
namespaces (vsock), at other processes, or at seldom-tried parts of the kernel does not.
"""

from __future__ import annotations

import errno
import functools
import os
from typing import Any

_FORBIDDEN = (
    # other processes
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "kcmp",
    "pidfd_getfd",
    # keys, files by handle, and parts of the kernel with a history of holes
    "add_key",
    "keyctl",
    "request_key",
    "open_by_handle_at",
    "name_to_handle_at",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "userfaultfd",
    "bpf",
    "perf_event_open",
    "modify_ldt",
    "vmsplice",
    "lookup_dcookie",
    # namespaces and mounts
    "unshare",
    "setns",
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "open_tree",
    "move_mount",
    "mount_setattr",
    "quotactl",
    "quotactl_fd",
    # the machine
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "syslog",
    "iopl",
    "ioperm",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "sethostname",
    "setdomainname",
    "vhangup",
    "nfsservctl",
    "uselib",
    "ustat",
    "sysfs",
    "_sysctl",
)

# Their callers fall back to what the sandbox counts: clone3 hides its flags behind a pointer, and
# memory behind a descriptor is in nobody's resident set.
_ABSENT = ("clone3", "memfd_create", "memfd_secret")

_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_CLONE_NEW = 0x7E020000  # every CLONE_NEW* flag
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_LOW_WORD = 0xFFFFFFFF
_MOST_SYSV_BYTES = 1 << 20


@functools.cache
def program() -> bytes:
    """The filter as the kernel takes it (`bwrap --seccomp`).

    Raises RuntimeError when the system has no libseccomp, OSError when it refuses a rule.
    """
    # Loads the shared library when it is imported, and not every process makes sandboxes.
    import pyseccomp

    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    # Other machine languages (i386, x32) have other numbers for all of this.
    rules.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    _forbid_calls(rules, pyseccomp)
    _forbid_sockets(rules, pyseccomp)
    _forbid_arguments(rules, pyseccomp)
    return exported(rules)


def _forbid_calls(rules: Any, pyseccomp: Any) -> None:
    for name in _FORBIDDEN:
        rules.add_rule(pyseccomp.ERRNO(errno.EPERM), name)
    for name in _ABSENT:
        rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), name)


def _forbid_sockets(rules: Any, pyseccomp: Any) -> None:
    refused = pyseccomp.ERRNO(errno.EAFNOSUPPORT)
    families = {_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK}
    for call in ("socket", "socketpair"):
        for family in set(range(64)) - families:
            rules.add_rule(refused, call, pyseccomp.Arg(0, pyseccomp.EQ, family))
        # Also the numbers whose low word is a family: the kernel looks at that word alone.
        rules.add_rule(refused, call, pyseccomp.Arg(0, pyseccomp.GE, 64))
    # Of netlink only routes, which `getifaddrs` reads.
    rules.add_rule(
        refused,
        "socket",
        pyseccomp.Arg(0, pyseccomp.EQ, _AF_NETLINK),
        pyseccomp.Arg(2, pyseccomp.NE, 0),
    )


def _forbid_arguments(rules: Any, pyseccomp: Any) -> None:
    refused = pyseccomp.ERRNO(errno.EPERM)
    for bit in (1 << n for n in range(32) if _CLONE_NEW & 1 << n):
        rules.add_rule(refused, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, bit, bit))
    for request in (_TIOCSTI, _TIOCLINUX):
        rules.add_rule(refused, "ioctl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, _LOW_WORD, request))
    # Segments that nobody has attached are in nobody's resident set either.
    rules.add_rule(
        pyseccomp.ERRNO(errno.ENOMEM),
        "shmget",
        pyseccomp.Arg(1, pyseccomp.GT, _MOST_SYSV_BYTES),
    )


def profile() -> dict[str, Any]:
    """The same filter as a container's runtime takes it.

    https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp
    """

    def refused(names: list[str], number: int, *arguments: dict[str, object]) -> dict[str, Any]:
        rule: dict[str, Any] = {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": number}
        return rule | ({"args": list(arguments)} if arguments else {})

    def argument(index: int, op: str, value: int, second: int = 0) -> dict[str, object]:
        return {"index": index, "op": f"SCMP_CMP_{op}", "value": value, "valueTwo": second}

    families = set(range(64)) - {_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK}
    sockets = [argument(0, "EQ", family) for family in sorted(families)] + [argument(0, "GE", 64)]
    routes = (argument(0, "EQ", _AF_NETLINK), argument(2, "NE", 0))
    bits = [1 << n for n in range(32) if _CLONE_NEW & 1 << n]
    typing = [argument(1, "MASKED_EQ", _LOW_WORD, each) for each in (_TIOCSTI, _TIOCLINUX)]
    rules = [
        refused(list(_FORBIDDEN), errno.EPERM),
        refused(list(_ABSENT), errno.ENOSYS),
        *(refused(["socket", "socketpair"], errno.EAFNOSUPPORT, each) for each in sockets),
        refused(["socket"], errno.EAFNOSUPPORT, *routes),
        *(refused(["clone"], errno.EPERM, argument(0, "MASKED_EQ", bit, bit)) for bit in bits),
        *(refused(["ioctl"], errno.EPERM, each) for each in typing),
        refused(["shmget"], errno.ENOMEM, argument(1, "GT", _MOST_SYSV_BYTES)),
    ]
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}


def exported(rules: Any) -> bytes:
    """A filter as the kernel takes it."""
    fd = os.memfd_create("seccomp")
    with os.fdopen(fd, "r+b") as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
