"""The API: pods, secrets and network policies of namespaces, reviews of one's own access, owners' ends, and Status answers.

`allowed` is what the service account may do. With `enforcing` off its network plugin ignores NetworkPolicies, as some do.
"""

import asyncio
import json
import secrets
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from tests.fakes.container_engine import ContainerEngine
from tests.fakes.kubernetes_cluster import filters, status
from tests.fakes.kubernetes_cluster.node import ImageAbsent, Node
from tests.fakes.kubernetes_cluster.pod_security import check_restricted
from tests.fakes.kubernetes_cluster.status import Refused
from tests.fakes.local_certificate import local_certificate
from tests.fakes.web_double import WebDouble

KINDS = {
    "pods": ("Pod", "v1", ""),
    "secrets": ("Secret", "v1", ""),
    "networkpolicies": ("NetworkPolicy", "networking.k8s.io/v1", "networking.k8s.io"),
}
ROLE = frozenset(
    [
        *(("pods", verb) for verb in ("create", "get", "list", "delete")),
        ("secrets", "create"),
        *(("networkpolicies", verb) for verb in ("create", "delete")),
    ]
)
NAMESPACE = "spin"
RUNTIME = "spin-runtime-0"


class KubernetesCluster(WebDouble):
    def __init__(self, folder: Path, engine: ContainerEngine) -> None:
        super().__init__()
        self._folder, self.node = folder, Node(engine)
        self.allowed, self.enforcing, self.unschedulable = set(ROLE), True, ""
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ending: list[asyncio.Task[None]] = []
        self._token = secrets.token_hex(16)

    async def __aenter__(self) -> "KubernetesCluster":
        await self.serve()
        await self.node.start()
        self._put_runtime(self.node.gateway)
        return self

    async def serve(self) -> None:
        self._over.clear()
        await self.start(self.answer, local_certificate(self._folder))
        cluster = {"server": f"https://127.0.0.1:{self.port}", "certificate-authority": str(self._folder / "ca.pem")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "double",
            "clusters": [{"name": "double", "cluster": cluster}],
            "users": [{"name": "runtime", "user": {"token": self._token}}],
            "contexts": [{"name": "double", "context": {"cluster": "double", "user": "runtime"}}],
        }
        self.kubeconfig.write_text(yaml.safe_dump(config))

    @property
    def kubeconfig(self) -> Path:
        return self._folder / "kubeconfig"

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        await self.settled()
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self.node.stop()

    def _put_runtime(self, address: str) -> None:
        """The pod that the runtime runs in: connections of the test's process come from the node's own address."""
        metadata = {"name": RUNTIME, "namespace": NAMESPACE, "uid": str(uuid.uuid4()), "labels": {"app": "spin-runtime"}}
        spec = {"containers": [{"name": "runtime", "image": "runtime"}]}
        self.objects["pods", NAMESPACE, RUNTIME] = {
            "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Running", "podIP": address},
        }  # fmt: skip

    def names(self, resource: str) -> list[str]:
        """Of what others than the test made."""
        return [name for kind, _, name in self.objects if kind == resource and name != RUNTIME]

    def pods(self, phase: str = "") -> list[dict[str, Any]]:
        return [
            self.objects[key]
            for key in self.objects
            if key[0] == "pods" and key[2] != RUNTIME and phase in ("", self.objects[key]["status"]["phase"])
        ]

    async def answer(self, request: web.Request) -> web.Response:
        try:
            if request.headers.get("Authorization") != f"Bearer {self._token}":
                raise Refused(401, "Unauthorized")
            return web.json_response(await self._answered(request))
        except Refused as refusal:
            return status.answered(refusal)

    async def _answered(self, request: web.Request) -> Any:
        body = await request.json() if request.method == "POST" else None
        if request.path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
            return self._reviewed(body)
        parts = request.path.strip("/").split("/")
        group = "/".join(parts[1 : parts.index("namespaces")])
        namespace, resource, *name = parts[parts.index("namespaces") + 1 :]
        if resource not in KINDS or KINDS[resource][1] != group or len(name) > 1:
            raise Refused(404, "the server could not find the requested resource")
        verb = {"POST": "create", "DELETE": "delete", "GET": "get" if name else "list"}[request.method]
        self._permit(verb, resource, namespace)
        if verb == "create":
            return await self._create(resource, namespace, body)
        if verb == "list":
            return self._list(resource, namespace, request.query.get("labelSelector", ""))
        found = self.objects.get((resource, namespace, name[0]))
        if found is None:
            raise Refused(404, f'{resource} "{name[0]}" not found')
        if verb == "delete" and resource == "pods":
            # Until its node has ended it, the pod is there.
            if "deletionTimestamp" not in found["metadata"]:
                found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
                self._ending.append(asyncio.create_task(self._delete(resource, namespace, name[0])))
        elif verb == "delete":
            await self._delete(resource, namespace, name[0])
        return found

    async def settled(self) -> None:
        """When all that was deleted is gone."""
        await asyncio.gather(*self._ending)

    def _permit(self, verb: str, resource: str, namespace: str) -> None:
        if (resource, verb) not in self.allowed or namespace != NAMESPACE:
            user, group = f"system:serviceaccount:{NAMESPACE}:runtime", KINDS[resource][2]
            raise Refused(
                403,
                f'{resource} is forbidden: User "{user}" cannot {verb} resource "{resource}" in API group "{group}" in the namespace "{namespace}"',
            )

    def _reviewed(self, body: dict[str, Any]) -> dict[str, Any]:
        status.check(body)
        wanted = body["spec"]["resourceAttributes"]
        known = wanted["resource"] in KINDS and KINDS[wanted["resource"]][2] == wanted["group"]
        allowed = known and (wanted["resource"], wanted["verb"]) in self.allowed and wanted["namespace"] == NAMESPACE
        return body | {"status": {"allowed": allowed}}

    def _list(self, resource: str, namespace: str, selector: str) -> dict[str, Any]:
        wanted = {"matchLabels": dict(each.split("=", 1) for each in selector.split(",") if each)}
        found = [
            each
            for key, each in self.objects.items()
            if key[:2] == (resource, namespace) and filters.selects(wanted, each["metadata"].get("labels", {}))
        ]
        kind, version, _ = KINDS[resource]
        return {"kind": f"{kind}List", "apiVersion": version, "metadata": {"resourceVersion": "1"}, "items": found}

    async def _create(self, resource: str, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        status.check(body)
        name = body["metadata"]["name"]
        if body["kind"] != KINDS[resource][0]:
            raise Refused(400, f"the object is a {body['kind']}")
        if (resource, namespace, name) in self.objects:
            raise Refused(409, f'{resource} "{name}" already exists')
        if resource == "pods":
            check_restricted(body["spec"])
        made: dict[str, Any] = body | {"metadata": body["metadata"] | {"namespace": namespace, "uid": str(uuid.uuid4())}}
        self.objects[resource, namespace, name] = made
        if resource == "pods":
            made["status"] = {"phase": "Pending"}
            self._tasks[made["metadata"]["uid"]] = asyncio.create_task(self._live(made))
        elif resource == "networkpolicies":
            await self._filter()
        return made

    async def _delete(self, resource: str, namespace: str, name: str) -> None:
        found = self.objects.get((resource, namespace, name))
        if found is None:
            return
        uid = found["metadata"]["uid"]
        if (task := self._tasks.pop(uid, None)) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if resource == "pods":
            await self.node.remove(uid)
        self.objects.pop((resource, namespace, name), None)
        # Whose owners are gone goes too.
        for (kind, space, other), each in list(self.objects.items()):
            if any(owner["uid"] == uid for owner in each["metadata"].get("ownerReferences", ())):
                await self._delete(kind, space, other)

    async def end_runtime(self) -> None:
        """As when its pod is deleted."""
        await self._delete("pods", NAMESPACE, RUNTIME)

    async def _live(self, pod: dict[str, Any]) -> None:
        """A pod's life, as its status tells it."""
        uid, name, node = pod["metadata"]["uid"], pod["metadata"]["name"], self.node
        if self.unschedulable:
            held = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": self.unschedulable}
            pod["status"] = {"phase": "Pending", "conditions": [held]}
            return
        running = await node.sandbox(uid)
        pod["status"] = {"phase": "Pending", "podIP": running.address}
        await self._filter()
        try:
            await node.run(uid, pod["spec"], lambda wanted: self._secret(pod["metadata"]["namespace"], wanted))
        except ImageAbsent as absent:
            reason = {"reason": "ErrImagePull", "message": f'failed to pull image "{absent}": not found'}
            pod["status"] |= {"containerStatuses": [_container(pod, {"waiting": reason})]}
            return
        pod["status"] |= {"phase": "Running", "containerStatuses": [_container(pod, {"running": {}})]}
        code, memory = await node.ended(uid)
        over = {"exitCode": code, "reason": "OOMKilled" if memory else "Error" if code else "Completed"}
        if ("pods", pod["metadata"]["namespace"], name) in self.objects:
            phase = "Failed" if code or memory else "Succeeded"
            pod["status"] |= {"phase": phase, "containerStatuses": [_container(pod, {"terminated": over})]}

    async def _secret(self, namespace: str, name: str) -> Mapping[str, str]:
        """Kubernetes waits for it with the pod's start."""
        while (found := self.objects.get(("secrets", namespace, name))) is None:
            await asyncio.sleep(0.02)
        data: Mapping[str, str] = found["data"]
        return data

    async def _filter(self) -> None:
        if not self.enforcing:
            return
        policies = [each for key, each in self.objects.items() if key[0] == "networkpolicies"]
        pods = [each for key, each in self.objects.items() if key[0] == "pods"]
        for pod in pods:
            if pod["metadata"]["uid"] in self.node.running:
                await self.node.filter(pod["metadata"]["uid"], list(filters.rules(pod, policies, pods)))

    async def stopped(self, name: str) -> None:
        """As when the node's machine goes: the API does not know of it."""
        pod = self.objects["pods", NAMESPACE, name]
        self._tasks[pod["metadata"]["uid"]].cancel()
        await self.node.remove(pod["metadata"]["uid"])

    async def evicted(self, name: str) -> None:
        """As a node does that runs out of disk."""
        message = "The node was low on resource: ephemeral-storage."
        self.objects["pods", NAMESPACE, name]["status"] |= {"phase": "Failed", "reason": "Evicted", "message": message}
        await self.stopped(name)

    async def deleted(self, name: str) -> None:
        self.objects["pods", NAMESPACE, name]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        await self._delete("pods", NAMESPACE, name)


def _container(pod: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    (container,) = pod["spec"]["containers"]
    named = {"name": container["name"], "image": container["image"], "imageID": container["image"], "restartCount": 0}
    return named | {"ready": "running" in state, "state": json.loads(json.dumps(state))}
