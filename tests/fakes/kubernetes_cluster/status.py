"""What the API refuses, as `Status` objects: the schema of a real version, and what is beyond a schema."""

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
