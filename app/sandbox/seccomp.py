"""The system calls that a sandbox may make; all others fail with "not implemented" (ENOSYS).

An allow-list, so that calls added by newer kernels are refused until someone reviews them:
`tests/security/system_calls.txt` has the kernel's table, and a test compares it with this file.
Programs fall back when a call is not implemented, as on an older kernel. Privileged calls fail with
EPERM, as they do for any unprivileged user.
"""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ALLOWED = _names(
    """
    accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg
    sendmmsg sendmsg sendto setsockopt shutdown

    access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat
    faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fdatasync
    fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat
    getcwd getdents getdents64 getxattr inotify_add_watch inotify_init inotify_init1
    inotify_rm_watch lchown lgetxattr link linkat listxattr llistxattr lremovexattr lseek lsetxattr
    lstat mkdir mkdirat mknod mknodat newfstatat open openat openat2 pipe pipe2 pread64 preadv
    preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr rename
    renameat renameat2 rmdir sendfile setxattr splice stat statfs statx symlink symlinkat sync
    sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat utimes write writev

    epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 poll
    ppoll pselect6 select signalfd signalfd4

    brk get_mempolicy madvise map_shadow_stack mbind membarrier mincore mlock mlock2 mlockall mmap
    mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
    remap_file_pages set_mempolicy

    arch_prctl capget capset execve execveat exit exit_group fork getcpu getegid geteuid getgid
    getgroups getpgid getpgrp getpid getppid getpriority getresgid getresuid getrlimit getrusage
    getsid gettid getuid get_robust_list ioprio_get kill pause personality pidfd_open
    pidfd_send_signal prctl restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask
    rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
    sched_getscheduler sched_rr_get_interval sched_yield set_robust_list set_tid_address setfsgid
    setfsuid setgid setgroups setpgid setregid setresgid setresuid setreuid setrlimit setsid setuid
    sigaltstack tgkill tkill vfork wait4 waitid

    futex landlock_add_rule landlock_create_ruleset landlock_restrict_self mq_getsetattr mq_notify
    mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd seccomp semctl
    semget semop semtimedop shmat shmctl shmdt

    alarm clock_getres clock_gettime clock_nanosleep getitimer getrandom gettimeofday nanosleep
    setitimer sysinfo time timer_create timer_delete timer_getoverrun timer_gettime timer_settime
    timerfd_create timerfd_gettime timerfd_settime times uname
    """
)

BY_ARGUMENTS = _names(
    """
    clone fcntl ioctl ioprio_set prlimit64 sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler setpriority shmget socket socketpair
    """
)
"""Allowed as well, with the restrictions in `_by_arguments`."""

PRIVILEGED = _names(
    """
    acct adjtimex chroot clock_adjtime clock_settime delete_module finit_module fsconfig fsmount
    fsopen fspick init_module ioperm iopl kexec_file_load kexec_load mount mount_setattr move_mount
    open_by_handle_at open_tree pivot_root quotactl quotactl_fd reboot setdomainname sethostname
    setns settimeofday swapoff swapon syslog umount2 unshare vhangup
    """
)

REFUSED = _names(
    """
    add_key bpf cachestat clone3 fanotify_init fanotify_mark file_getattr file_setattr futex_requeue
    futex_wait futex_waitv futex_wake getxattrat io_cancel io_destroy io_getevents io_pgetevents
    io_setup io_submit io_uring_enter io_uring_register io_uring_setup kcmp keyctl listmount listns
    listxattrat lookup_dcookie lsm_get_self_attr lsm_list_modules lsm_set_self_attr memfd_create
    memfd_secret migrate_pages modify_ldt move_pages name_to_handle_at open_tree_attr
    perf_event_open pidfd_getfd process_madvise process_mrelease process_vm_readv process_vm_writev
    ptrace removexattrat request_key set_mempolicy_home_node setxattrat statmount uprobe uretprobe
    userfaultfd vmsplice

    _sysctl afs_syscall create_module epoll_ctl_old epoll_wait_old get_kernel_syms get_thread_area
    getpmsg nfsservctl putpmsg query_module security set_thread_area sysfs tuxcall uselib ustat
    vserver
    """
)
"""Calls reviewed and refused. They need no rule, as ENOSYS is the default.

`clone3` hides its flags behind a pointer; memory behind a descriptor (`memfd_create`) is in no
process's resident set; contexts of `io_setup` are a scarce resource of the whole machine."""

_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_PROTOCOLS = (0, 6, 17)
"""The default, TCP and UDP: others would load rarely used kernel modules."""
_CLONE_NEW = 0x7E020000  # every CLONE_NEW* flag
_CLONE_FILES, _CLONE_THREAD = 0x400, 0x10000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_F_OFD_SETLK, _F_OFD_SETLKW = 37, 38
_MOST_SYSV_BYTES = 1 << 20


@dataclass(frozen=True)
class Argument:
    """One comparison of a call's argument, in libseccomp's terms."""

    index: int
    op: str
    value: int
    second: int = 0


@dataclass(frozen=True)
class Rule:
    """The result of calls with such arguments: an error, or None to allow them."""

    error: int | None
    names: tuple[str, ...]
    arguments: tuple[Argument, ...] = ()


def rules() -> list[Rule]:
    """The whole filter, except its default (ENOSYS)."""
    return [
        Rule(None, tuple(sorted(ALLOWED))),
        Rule(errno.EPERM, tuple(sorted(PRIVILEGED))),
        *_by_arguments(),
    ]


def _by_arguments() -> Iterator[Rule]:
    yield from _sockets()
    yield from _own_process_only()
    yield from _clones()
    # Forbid injecting input into a terminal. The kernel compares only the request's low word.
    for mask, value in low_words_but({_TIOCSTI, _TIOCLINUX}):
        yield Rule(None, ("ioctl",), (Argument(1, "MASKED_EQ", mask, value),))
    for request in (_TIOCSTI, _TIOCLINUX):
        low = Argument(1, "MASKED_EQ", 0xFFFFFFFF, request)
        yield Rule(errno.EPERM, ("ioctl",), (low,))
    # Locks that belong to no process cannot be counted for a sandbox (`inside.Kernel`).
    for mask, value in low_words_but({_F_OFD_SETLK, _F_OFD_SETLKW}):
        yield Rule(None, ("fcntl",), (Argument(1, "MASKED_EQ", mask, value),))
    for command in (_F_OFD_SETLK, _F_OFD_SETLKW):
        low = Argument(1, "MASKED_EQ", 0xFFFFFFFF, command)
        yield Rule(errno.EINVAL, ("fcntl",), (low,))
    # PostgreSQL needs a small segment. Their total is limited elsewhere (`inside.Kernel`).
    yield Rule(None, ("shmget",), (Argument(1, "LE", _MOST_SYSV_BYTES),))
    yield Rule(errno.ENOMEM, ("shmget",), (Argument(1, "GT", _MOST_SYSV_BYTES),))


def _sockets() -> Iterator[Rule]:
    families = {_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK}
    unknown = [Argument(0, "EQ", family) for family in sorted(set(range(64)) - families)]
    for argument in (*unknown, Argument(0, "GE", 64)):
        yield Rule(errno.EAFNOSUPPORT, ("socket", "socketpair"), (argument,))
    yield Rule(None, ("socket",), (Argument(0, "EQ", _AF_UNIX),))
    for family in sorted(families):
        yield Rule(None, ("socketpair",), (Argument(0, "EQ", family),))
    # Allow only NETLINK_ROUTE, which `getifaddrs` uses.
    netlink = Argument(0, "EQ", _AF_NETLINK)
    yield Rule(None, ("socket",), (netlink, Argument(2, "EQ", 0)))
    yield Rule(errno.EAFNOSUPPORT, ("socket",), (netlink, Argument(2, "NE", 0)))
    others = [Argument(2, "EQ", n) for n in range(max(_PROTOCOLS)) if n not in _PROTOCOLS]
    for family in (_AF_INET, _AF_INET6):
        here = Argument(0, "EQ", family)
        for protocol in _PROTOCOLS:
            yield Rule(None, ("socket",), (here, Argument(2, "EQ", protocol)))
        for other in (*others, Argument(2, "GT", max(_PROTOCOLS))):
            yield Rule(errno.EPROTONOSUPPORT, ("socket",), (here, other))


def _clones() -> Iterator[Rule]:
    """No new namespaces. Threads share their process's open files, which are counted there."""
    both = _CLONE_THREAD | _CLONE_FILES
    yield Rule(None, ("clone",), (Argument(0, "MASKED_EQ", _CLONE_NEW | _CLONE_THREAD, 0),))
    yield Rule(None, ("clone",), (Argument(0, "MASKED_EQ", _CLONE_NEW | both, both),))
    alone = Argument(0, "MASKED_EQ", _CLONE_NEW | both, _CLONE_THREAD)
    yield Rule(errno.EPERM, ("clone",), (alone,))
    for bit in (1 << n for n in range(32) if _CLONE_NEW & 1 << n):
        yield Rule(errno.EPERM, ("clone",), (Argument(0, "MASKED_EQ", bit, bit),))


def _own_process_only() -> Iterator[Rule]:
    """A process may change its own priority and limits, not another process's."""
    scheduler = ("sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler")
    yield Rule(None, scheduler, (Argument(0, "EQ", 0),))
    yield Rule(errno.EPERM, scheduler, (Argument(0, "NE", 0),))
    for name, process in (("setpriority", 0), ("ioprio_set", 1)):
        kind = Argument(0, "EQ", process)
        yield Rule(None, (name,), (kind, Argument(1, "EQ", 0)))
        yield Rule(errno.EPERM, (name,), (kind, Argument(1, "NE", 0)))
        yield Rule(errno.EPERM, (name,), (Argument(0, "NE", process),))
    # With a null pointer for new limits it only reads.
    another = Argument(0, "NE", 0)
    yield Rule(None, ("prlimit64",), (Argument(0, "EQ", 0),))
    yield Rule(None, ("prlimit64",), (another, Argument(2, "EQ", 0)))
    yield Rule(errno.EPERM, ("prlimit64",), (another, Argument(2, "NE", 0)))


def low_words_but(values: set[int], bits: int = 32) -> Iterator[tuple[int, int]]:
    """Masks and values that together match every number whose low word is not in `values`."""

    def below(bit: int, mask: int, prefix: int, left: set[int]) -> Iterator[tuple[int, int]]:
        if not left:
            yield mask, prefix
            return
        if bit < 0:
            return
        one = 1 << bit
        for value in (0, one):
            within = {each for each in left if each & one == value}
            yield from below(bit - 1, mask | one, prefix | value, within)

    return below(bits - 1, 0, 0, values)


@functools.cache
def program() -> bytes:
    """The filter as a BPF program for the kernel.

    Raises RuntimeError when the system has no libseccomp, OSError when it refuses a rule.
    """
    # Imported here because it loads a shared library, and not every process makes sandboxes.
    import pyseccomp

    made = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.ENOSYS))
    # Other ABIs (i386, x32) number the calls differently.
    made.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    here = pyseccomp.system_arch()
    for rule in rules():
        action = pyseccomp.ALLOW if rule.error is None else pyseccomp.ERRNO(rule.error)
        arguments = [
            pyseccomp.Arg(each.index, getattr(pyseccomp, each.op), each.value, each.second)
            for each in rule.arguments
        ]
        for name in rule.names:
            # Calls unknown to this libseccomp are refused by default.
            if pyseccomp.resolve_syscall(here, name) != _UNKNOWN:
                made.add_rule(action, name, *arguments)
    return exported(made)


_UNKNOWN = -1


def profile() -> dict[str, Any]:
    """The same filter as an OCI runtime profile.

    https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#seccomp
    """
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.ENOSYS,
        "syscalls": [_as_profile(rule) for rule in rules()],
    }


def _as_profile(rule: Rule) -> dict[str, Any]:
    found: dict[str, Any] = {"names": list(rule.names), "action": "SCMP_ACT_ALLOW"}
    if rule.error is not None:
        found |= {"action": "SCMP_ACT_ERRNO", "errnoRet": rule.error}
    if rule.arguments:
        found["args"] = [
            {
                "index": each.index,
                "op": f"SCMP_CMP_{each.op}",
                "value": each.value,
                "valueTwo": each.second,
            }
            for each in rule.arguments
        ]
    return found


def exported(made: Any) -> bytes:
    """Compile a filter to BPF."""
    fd = os.memfd_create("seccomp")
    with os.fdopen(fd, "r+b") as file:
        made.export_bpf(file)
        file.seek(0)
        return file.read()
