"""Which system calls a confined kernel may not make.

- Denied is what reaches into other processes, changes mounts or namespaces, loads code into Linux, or goes round this filter (io_uring).
- They fail with EPERM, as for a user without the right; clone3 says ENOSYS, because a filter cannot see its flags and libc then uses clone.
- Sockets are of the families that cells need. Without a network of its own, a kernel that may not reach any gets no internet sockets at all.
"""

import errno
import os
import socket
import tempfile

import pyseccomp

DENIED = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd"),
    *("bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key"),
    *("mount", "umount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"),
    *("unshare", "setns", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module", "query_module"),
    *("open_by_handle_at", "name_to_handle_at", "io_uring_setup", "io_uring_enter", "io_uring_register", "fanotify_init"),
    *("acct", "quotactl", "quotactl_fd", "reboot", "swapon", "swapoff", "syslog", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex"),
    *("sethostname", "setdomainname", "iopl", "ioperm", "modify_ldt", "vm86", "vm86old", "lookup_dcookie", "nfsservctl", "uselib", "vhangup"),
)
NAMESPACE_FLAGS = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x00000080)
ALWAYS = {socket.AF_UNIX, socket.AF_NETLINK}
INTERNET = {socket.AF_INET, socket.AF_INET6}
FAMILIES = range(64)
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
LOW_HALF = 0xFFFFFFFF


def program(*, internet: bool) -> bytes:
    """The filter as Linux takes it."""
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    denied = pyseccomp.ERRNO(errno.EPERM)
    for name in DENIED:
        _add(rules, denied, name)
    _add(rules, pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    for flag in NAMESPACE_FLAGS:
        _add(rules, denied, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
    for request in (TIOCSTI, TIOCLINUX):
        _add(rules, denied, "ioctl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, LOW_HALF, request))
    allowed = ALWAYS | INTERNET if internet else ALWAYS
    for family in FAMILIES:
        if family not in allowed:
            # Linux reads 32 bits of it: more must not make it another.
            _add(rules, denied, "socket", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, LOW_HALF, family))
    return _exported(rules)


def _add(rules: pyseccomp.SyscallFilter, action: int, name: str, *arguments: pyseccomp.Arg) -> None:
    try:
        number = pyseccomp.resolve_syscall(pyseccomp.system_arch(), name)
    except (OSError, ValueError):
        return
    if number >= 0:
        rules.add_rule(action, name, *arguments)


def _exported(rules: pyseccomp.SyscallFilter) -> bytes:
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0, os.SEEK_SET)
        return file.read()
