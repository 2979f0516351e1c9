"""What the API refuses, as `Status` objects: the schema of a real version, the restricted profile of Pod Security, and names."""

from typing import Any

import kubernetes_validate
from aiohttp import web

VERSION = "1.33"
REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "AlreadyExists", 422: "Invalid"}


class Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def answered(refusal: Refused) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": str(refusal), "code": refusal.code}
    return web.json_response(body | {"reason": REASONS[refusal.code]}, status=refusal.code)


def check(body: Any) -> None:
    """As with fieldValidation=Strict. Raises Refused."""
    try:
        kubernetes_validate.validate(body, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        where = ".".join(map(str, error.path))
        raise Refused(
            400, f'{body.get("kind")} in version "{body.get("apiVersion")}" cannot be handled: strict decoding error: {where}: {error.message}'
        ) from None
    if body["kind"] == "Pod":
        _check_mounts(body)


def _check_mounts(body: dict[str, Any]) -> None:
    spec = body["spec"]
    volumes = {volume["name"] for volume in spec.get("volumes", ())}
    for container in spec["containers"]:
        paths = [mount["mountPath"] for mount in container.get("volumeMounts", ())]
        if len(paths) != len(set(paths)):
            raise Refused(422, "spec.containers[0].volumeMounts: must be unique")
        for mount in container.get("volumeMounts", ()):
            if mount["name"] not in volumes:
                raise Refused(422, f'spec.containers[0].volumeMounts: Not found: "{mount["name"]}"')
            if ":" in mount["mountPath"] or mount.get("subPath", "").startswith(("/", "..")):
                raise Refused(422, "spec.containers[0].volumeMounts: Invalid value")
        requests, limits = (container.get("resources", {}).get(name, {}) for name in ("requests", "limits"))
        for name in limits:
            if quantity(requests.get(name, "0")) > quantity(limits[name]):
                raise Refused(422, f"spec.containers[0].resources.requests: Invalid value: must be less than or equal to {name} limit")


def quantity(text: str) -> float:
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def restricted(spec: dict[str, Any]) -> None:
    """The profile's rules on what is used here. Raises Refused."""
    pod, faults = spec.get("securityContext", {}), []
    for container in spec["containers"]:
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False:
            faults.append("allowPrivilegeEscalation != false")
        if own.get("privileged") or own.get("capabilities", {}).get("drop") != ["ALL"] or own.get("capabilities", {}).get("add"):
            faults.append("unrestricted capabilities")
        if (own.get("runAsNonRoot") or pod.get("runAsNonRoot")) is not True or pod.get("runAsUser") == 0:
            faults.append("runAsNonRoot != true")
        if (own.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type") not in ("RuntimeDefault", "Localhost"):
            faults.append("seccompProfile")
        faults += ["hostPort" for port in container.get("ports", ()) if port.get("hostPort")]
    faults += [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    faults += [
        f"restricted volume type of {each['name']}"
        for each in spec.get("volumes", ())
        if not set(each) <= {"name", "emptyDir", "secret", "configMap", "persistentVolumeClaim", "projected"}
    ]
    if faults:
        raise Refused(403, f'pods is forbidden: violates PodSecurity "restricted:latest": {", ".join(faults)}')
