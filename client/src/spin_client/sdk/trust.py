"""Which keys this client believes.

The platform's root document is pinned: by its digest when one is given, else the first one seen is kept in a file, and every later one
must follow from it by the signatures that the protocol demands. What services say about a runtime is believed when auth signed it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from spin_client.sdk.errors import TRUST_REFUSED, SpinError
from spin_client.sdk.identifiers import id_bytes
from spin_client.sdk.private_files import config_folder, write_private
from spin_client.sdk.tokens import now_ms
from spin_envelope.errors import Refused, RootExpired
from spin_envelope.keys import VerifyKey
from spin_envelope.root import TrustedRoot
from spinapis.auth.v1 import trust_pb2, trust_pb2_grpc
from spinapis.envelope.v1 import enrol_pb2
from spinapis.envelope.v1 import trust_pb2 as documents_pb2


@dataclass(frozen=True)
class EnrolledRuntime:
    """A runtime as auth's signatures describe it."""

    workspace_id: bytes
    runtime_id: bytes
    identity: VerifyKey
    fingerprint: bytes
    suite: int
    confirmed: bool


class TrustAnchor:
    """The pinned root of one platform, brought up to date when asked."""

    def __init__(self, url: str, pins: Path | None = None, digest: bytes | None = None) -> None:
        self._url = url
        self._digest = digest
        self._file = (pins or config_folder() / "roots") / f"{hashlib.sha256(url.encode()).hexdigest()[:24]}.json"
        self._root: TrustedRoot | None = None
        self._stub: trust_pb2_grpc.EnrolmentServiceAsyncStub | None = None

    def bind(self, stub: trust_pb2_grpc.EnrolmentServiceAsyncStub) -> None:
        self._stub = stub

    async def root(self) -> TrustedRoot:
        """The document to verify with. TRUST_REFUSED when what the platform sends does not follow from the pinned one, ROOT_EXPIRED."""
        root = await self.newest()
        try:
            root.check_time(now_ms())
        except RootExpired:
            raise SpinError("ROOT_EXPIRED", f"root document {root.version} of {self._url} has expired, so nothing is believed") from None
        return root

    async def newest(self) -> TrustedRoot:
        """The newest root document that follows from the pinned one, expired or not. TRUST_REFUSED when what the platform sends does not."""
        pinned = self._root or self._pinned()
        fetched = await self.documents(after_version=pinned.version if pinned else 0)
        try:
            root = _followed(pinned, fetched, self._digest)
        except Refused:
            raise SpinError(
                TRUST_REFUSED, f"the root documents of {self._url} do not follow from the pinned one ({self._file}): not the same platform"
            ) from None
        if self._root is None or root.version != self._root.version:
            self._keep(root)
        self._root = root
        return root

    async def documents(self, *, after_version: int = 0) -> list[bytes]:
        """Root documents as the platform lists them, oldest first; unverified."""
        assert self._stub is not None, "bind comes first"
        documents: list[bytes] = []
        request = trust_pb2.ListRootDocumentsRequest(after_version=after_version, page_size=100)
        while True:
            answer = await self._stub.ListRootDocuments(request)
            documents.extend(answer.root_documents)
            if not answer.next_page_token:
                return documents
            request.page_token = answer.next_page_token

    def forget(self) -> bool:
        """Removes the pin; the next root document seen is believed. True when there was one."""
        known = self._file.exists()
        self._file.unlink(missing_ok=True)
        self._root = None
        return known

    def _pinned(self) -> TrustedRoot | None:
        try:
            kept = json.loads(self._file.read_text())
            data = base64.b64decode(kept["root_document"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise SpinError(TRUST_REFUSED, f"the pinned root document {self._file} cannot be read") from None
        try:
            # Its own expiry does not matter: a successor may stand in for it, and only the newest must be fresh.
            return TrustedRoot.pinned(data, None, 0)
        except Refused:
            raise SpinError(TRUST_REFUSED, f"the pinned root document {self._file} does not verify") from None

    def _keep(self, root: TrustedRoot) -> None:
        kept = {"url": self._url, "version": root.version, "root_document": base64.b64encode(root.data).decode()}
        write_private(self._file, json.dumps(kept).encode())


def _followed(pinned: TrustedRoot | None, documents: list[bytes], digest: bytes | None) -> TrustedRoot:
    rest = list(documents)
    if pinned is None:
        if not rest:
            raise Refused("the platform lists no root document")
        pinned = TrustedRoot.pinned(rest.pop(0), digest)
    for document in rest:
        pinned = pinned.updated(document)
    return pinned


def verify_runtime(root: TrustedRoot, answer: trust_pb2.GetRuntimeTrustResponse, runtime_id: str, homes: Collection[str]) -> EnrolledRuntime:
    """Checks auth's signatures on enrolment and confirmation; a database row convinces nobody.

    `homes` are the workspaces that the runtime may be enrolled in: its own, and for an inherited one the parent's that shares it.
    """
    now = now_ms()
    if not answer.enrol_grant:
        raise SpinError("NOT_PAIRED", "the runtime is not paired with the workspace yet")
    if answer.status == documents_pb2.RUNTIME_STATUS_REVOKED:
        raise SpinError("RUNTIME_REVOKED", "the runtime was removed from the workspace")
    try:
        verified = root.verify(answer.enrol_grant, enrol_pb2.EnrolGrant, now)
        grant = verified.message
        confirmed = bool(answer.confirmation) and _confirms(root, answer.confirmation, grant, verified.digest, now)
        identity = VerifyKey(grant.identity_key)
    except Refused:
        raise SpinError(TRUST_REFUSED, "the runtime's enrolment is not signed by this platform's auth service") from None
    if grant.runtime_id != id_bytes(runtime_id):
        raise SpinError(TRUST_REFUSED, "the platform answered with the enrolment of another runtime")
    if grant.workspace_id not in map(id_bytes, homes):
        raise SpinError(TRUST_REFUSED, "the runtime is enrolled in a workspace that does not share its runtimes with this one")
    fingerprint = hashlib.sha256(grant.identity_key).digest()
    return EnrolledRuntime(grant.workspace_id, grant.runtime_id, identity, fingerprint, grant.suite, confirmed)


def _confirms(root: TrustedRoot, data: bytes, grant: enrol_pb2.EnrolGrant, grant_digest: bytes, now: int) -> bool:
    confirmation = root.verify(data, enrol_pb2.RuntimeConfirmation, now).message
    return bool(
        confirmation.runtime_id == grant.runtime_id and confirmation.identity_key == grant.identity_key and confirmation.grant_digest == grant_digest
    )
