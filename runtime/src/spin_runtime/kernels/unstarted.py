"""Why no kernel came up, for people: what they or the runtime's operator can mend. The launcher's own words are for the runtime's log alone."""

# What the launcher says, by words that stand in it. The first that fits counts.
CAUSES = (
    (
        ("every user of SPIN_KERNEL_UIDS",),
        "no user is free for it. Whoever operates the runtime has to give more (SPIN_KERNEL_UIDS), or remove folders of sessions that are over.",
    ),
    (
        ("ErrImage", "ImagePullBackOff", "InvalidImageName", "ImageInspectError", "RegistryUnavailable", "No such image"),
        "the image of kernels cannot be had. Whoever operates the runtime has to mend SPIN_KERNEL_IMAGE, or the way to its registry.",
    ),
    (
        ("exceeded quota", "Unschedulable", "Insufficient "),
        "the cluster has no room for it. Stop kernels that nobody needs; whoever operates the cluster can give kernels' namespace more.",
    ),
)
OTHER = "the runtime's log says why: whoever operates the runtime can read it."


def not_started(kernel: str, said: str) -> str:
    """Of a kernel whose process could not be started."""
    return f"The kernel {kernel} could not be started: {next((text for words, text in CAUSES if any(word in said for word in words)), OTHER)}"


def not_up(kernel: str, what: str) -> str:
    """Of one that started, and wrote why it did not go on."""
    return f"The kernel {kernel} {what}. The runtime's log has the kernel's own words; try again."
