"""The launcher where kernels are pods: it asks the cluster, and has the service account that may."""

import resource
import socket

from spin_runtime.launcher import driven
from spin_runtime.launcher.folders import Folders
from spin_runtime.launcher.pods.cluster import ClusterGone, ClusterRefused
from spin_runtime.launcher.pods.kernels import Pods
from spin_runtime.launcher.pods.line import LineFailed
from spin_runtime.launcher.pods.running import NotStarted
from spin_runtime.launcher.rules import Rules


def serve(channel: socket.socket, rules: Rules, folders: Folders) -> bool:
    """Returns when the server has gone, or, which is false, when what it sent was no packet."""
    # Each of a kernel's streams takes two descriptors.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    refusals = driven.Refusals("the cluster", (ClusterGone, ClusterRefused), (LineFailed, NotStarted))
    return driven.serve(channel, lambda: Pods(rules, folders), refusals)
