"""Making one pod run, for a kernel or for the probe, and what is known of its end."""

import asyncio
import os
from collections.abc import Collection
from typing import Any

from spin_runtime.launcher.folders import Folders, free_user
from spin_runtime.launcher.pods import certificates, line, spec
from spin_runtime.launcher.pods.cluster import Cluster, ClusterGone, ClusterRefused
from spin_runtime.launcher.rules import Rules, Start

# A first start may have to fetch the image.
START_S, LOOK_S = 300.0, 0.2
# States that do not mend themselves while a person waits.
HOPELESS = frozenset(
    [
        *("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "RegistryUnavailable"),
        *("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError"),
    ]
)
OVER = ("Succeeded", "Failed")


class NotStarted(Exception):
    """The text says what the cluster says of the pod."""


def user_of(rules: Rules, folders: Folders, start: Start, taken: Collection[int]) -> tuple[int, int]:
    """A user of its own where its files end with it; on a claim, whose the session's files are."""
    if spec.pods(rules).claim:
        return folders.user_of(start, taken)
    uid = free_user(spec.pods(rules).uids, taken)
    return uid, uid


async def started(cluster: Cluster, rules: Rules, given: spec.Given, kernel: spec.Kernel, seccomp: bytes, stderr: int) -> line.Line:
    """Its line, when its program has started. Raises ClusterGone, ClusterRefused, NotStarted, line.LineFailed; no pod is left then."""
    sides = certificates.made()
    try:
        # Without an answer it may have been made all the same.
        uid = await cluster.make_pod(spec.pod(rules, given, kernel))
        # The pod's own from its beginning, so that it never stays without it. Kubernetes waits for it with the pod's start.
        await cluster.make_secret(spec.secret(rules, given, kernel, sides, seccomp, uid))
        agent, runtime = sides
        context = line.tls(runtime, agent, rules.private)
        return await _reached(cluster, kernel, lambda address: line.Line(address, spec.PORT, context, os.dup(stderr)))
    except BaseException:
        await removed(cluster, kernel.name)
        raise


async def _reached(cluster: Cluster, kernel: spec.Kernel, line_to: Any) -> line.Line:
    last = "it was not looked at"
    try:
        async with asyncio.timeout(START_S):
            while True:
                pod = await cluster.pod(kernel.name)
                last = _state(pod)
                if pod.status.phase == "Running" and pod.status.pod_ip:
                    found: line.Line = line_to(pod.status.pod_ip)
                    try:
                        await found.begin()
                        return found
                    except (OSError, TimeoutError) as error:
                        last = f"it runs at {pod.status.pod_ip}, and port {spec.PORT} there is not reached from the runtime: {error}"
                    finally:
                        if not found.pid:
                            await found.close()
                elif pod.status.phase in OVER:
                    raise NotStarted(f"its pod ended: {last}")
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise NotStarted(f"its pod did not start within {START_S:.0f} s: {last}") from None


def _state(pod: Any) -> str:
    """In the cluster's words. Raises NotStarted where waiting does not help."""
    for container in pod.status.container_statuses or ():
        waiting, terminated = container.state.waiting, container.state.terminated
        if waiting is not None and waiting.reason in HOPELESS:
            raise NotStarted(f"{waiting.reason}: {waiting.message or ''}"[:500])
        if waiting is not None:
            return f"{waiting.reason or 'waiting'} {waiting.message or ''}".strip()[:500]
        if terminated is not None:
            return f"{terminated.reason or 'ended'} {terminated.message or ''} (status {terminated.exit_code})"[:500]
    held = next((each for each in pod.status.conditions or () if each.type == "PodScheduled" and each.status == "False"), None)
    if held is not None:
        return f"{held.reason}: {held.message}"[:500]
    return " ".join(filter(None, (pod.status.phase, pod.status.reason, pod.status.message)))[:500]


async def end_of(cluster: Cluster, name: str) -> tuple[bool, str]:
    """Whether it was for memory, and what the cluster says; nothing where it says nothing that people could use."""
    try:
        pod = await cluster.pod(name)
    except ClusterRefused as error:
        return False, "its pod was deleted" if error.absent else ""
    except ClusterGone:
        return False, ""
    ended = [each.state.terminated for each in pod.status.container_statuses or () if each.state.terminated is not None]
    if any(each.reason == "OOMKilled" for each in ended):
        return True, ""
    said = ": ".join(filter(None, (pod.status.reason, pod.status.message)))[:500]
    return False, said or ("its pod was deleted" if pod.metadata.deletion_timestamp is not None else "")


async def removed(cluster: Cluster, name: str) -> None:
    """What a cluster cannot remove now ends with its line, and is a leftover for the next start."""
    try:
        await cluster.remove_pod(name)
    except (ClusterGone, ClusterRefused):
        return
