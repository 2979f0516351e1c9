"""The credentials of a runtime: one bundle, replaced as a whole by a higher version. docs/protocol.md, section 6.

- Only a higher version is accepted; its number and digest outlive it, so that no restart and no expiry makes an old one new.
  A number that was signed by a key which the root does not list any more counts for nothing (see `trust`).
- A bundle is used while it is unexpired and not below the least version of the trust state. An expired one is wiped, in memory and on disk, and
  so is one that a revoked key signed.
- A tombstone wins over an entry.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from spin_cells.api import Credential, SecretReference
from spin_envelope.digests import signed_digest
from spin_envelope.errors import Refused
from spin_envelope.signing import Verified, unverified
from spin_runtime.broker.api import BundleStored
from spin_runtime.broker.disk import EncryptedFolder, unreadable
from spin_runtime.broker.refusals import Denial, log, open_failed
from spin_runtime.broker.state import State, StateStore
from spin_runtime.broker.trust import SKEW_MS, Trust
from spinapis.envelope.v1 import run_pb2, signed_pb2, trust_pb2
from spinapis.errors.v1 import reasons_pb2

FILE = "bundle"
BUNDLE_VALIDITY_MS = 7 * 24 * 3600 * 1000


class Credentials:
    def __init__(self, folder: EncryptedFolder, states: StateStore, changed: Callable[[Iterable[Credential]], None]) -> None:
        """`changed` is told of all connections whenever there are others."""
        self._folder, self._states, self._changed = folder, states, changed
        self._bundle: run_pb2.CredentialBundle | None = None
        self._by_id: dict[bytes, Credential] = {}
        self._renewed = asyncio.Event()

    def load(self, now_ms: int) -> None:
        """Takes up the bundle on disk. Raises DiskError."""
        data = self._folder.read(FILE)
        if data is None:
            return
        try:
            bundle, digest = unverified(data, run_pb2.CredentialBundle), signed_digest(data)
            self._hold(bundle, _by_id(bundle))
        except Refused:
            raise unreadable(self._folder.path / FILE) from None
        if digest != self._states.state.bundle_digest:
            self._states.change(bundle_version=bundle.bundle_version, bundle_digest=digest, bundle_key_ids=_named_signers(data))
        self.expire(now_ms)

    def accept(self, data: bytes, trust: Trust, now_ms: int) -> BundleStored:
        """Verifies and stores a bundle; durable when it returns. Raises Refused and Denial."""
        verified = trust.root.verify(data, run_pb2.CredentialBundle, now_ms, trust.revoked)
        check_bundle(verified, trust, self._states.state, now_ms)
        bundle = verified.message
        by_id = _by_id(bundle)
        # The bundle first: with a crash in between, `load` brings the numbers up to it. Used is what the numbers speak of: an older one would
        # else be taken after one that the disk refused.
        self._folder.write(FILE, data)
        self._states.change(bundle_version=bundle.bundle_version, bundle_digest=verified.digest, bundle_key_ids=tuple(sorted(verified.key_ids)))
        self._hold(bundle, by_id)
        self._renewed.set()
        self._renewed = asyncio.Event()
        log.info("bundle_accepted", bundle_version=bundle.bundle_version, connections=len(self._by_id))
        return BundleStored(bundle.bundle_version, bundle.expires_at_ms)

    def version(self, now_ms: int) -> int:
        """The version of the bundle that can be used now; 0 when there is none."""
        self.expire(now_ms)
        return 0 if self._bundle is None else self._bundle.bundle_version

    def usable(self, connection_id: bytes, trust: Trust, now_ms: int) -> Credential:
        """The credential of a connection. Raises Denial."""
        if self.version(now_ms) < max(trust.state.min_bundle_version, 1):
            raise Denial(reasons_pb2.ERROR_REASON_BUNDLE_STALE, "The runtime's credentials are out of date: synchronise them and run the cell again.")
        credential = self._by_id.get(connection_id)
        if credential is None:
            raise Denial(
                reasons_pb2.ERROR_REASON_CONNECTION_UNUSABLE,
                "The runtime holds no credential for this connection: it was removed, or not yet synchronised.",
                connection=connection_id.hex(),
            )
        return credential

    async def renewed(self, within_s: float) -> None:
        """Returns when the next bundle was accepted, or after a while."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._renewed.wait(), within_s)

    def expire(self, now_ms: int) -> None:
        if self._bundle is not None and now_ms >= self._bundle.expires_at_ms:
            log.info("bundle_expired", bundle_version=self._bundle.bundle_version)
            self.wipe()

    def forsake(self, trust: Trust) -> None:
        """Wipes the bundle of a runtime that was removed, and one that rests on a revoked key."""
        if trust.identity_revoked or set(self._states.state.bundle_key_ids) & set(trust.revoked):
            self.wipe()

    def wipe(self) -> None:
        self._bundle, self._by_id = None, {}
        self._changed(())
        self._folder.remove(FILE)

    def _hold(self, bundle: run_pb2.CredentialBundle, by_id: dict[bytes, Credential]) -> None:
        self._bundle, self._by_id = bundle, by_id
        self._changed(by_id.values())


def check_bundle(verified: Verified[run_pb2.CredentialBundle], trust: Trust, state: State, now_ms: int) -> None:
    """Whether an authentic bundle may replace the one that the state tells of. Raises Denial."""
    bundle = verified.message
    if (bundle.workspace_id, bundle.runtime_id) != (trust.grant.workspace_id, trust.grant.runtime_id):
        raise open_failed("a bundle for another runtime")
    _check_follows(verified, _counting(trust, state))
    if bundle.expires_at_ms - bundle.issued_at_ms > BUNDLE_VALIDITY_MS:
        raise open_failed("a bundle that is valid for more than seven days")
    if not bundle.issued_at_ms - SKEW_MS <= now_ms < bundle.expires_at_ms:
        raise Denial(
            reasons_pb2.ERROR_REASON_TIME_REFUSED,
            "The credentials are not valid now: synchronise them again, or set the clock.",
            runtime_clock_ms=str(now_ms),
            issued_at_ms=str(bundle.issued_at_ms),
        )


def _check_follows(verified: Verified[run_pb2.CredentialBundle], known: State) -> None:
    bundle = verified.message
    same = (bundle.bundle_version, verified.digest) == (known.bundle_version, known.bundle_digest)
    if bundle.bundle_version <= known.bundle_version and not same:
        raise _rollback(f"bundle {bundle.bundle_version} came where {known.bundle_version} is known")
    if bundle.bundle_version == known.bundle_version + 1 and known.bundle_version and bundle.prev_digest != known.bundle_digest:
        raise _rollback(f"bundle {bundle.bundle_version} does not follow the bundle {known.bundle_version} that is known")


def _counting(trust: Trust, state: State) -> State:
    """What of the state the next bundle must not fall below."""
    listed = {key.key_id for key in trust.root.keys(trust_pb2.ROLE_SECRETS)}
    return state if listed & set(state.bundle_key_ids) else replace(state, bundle_version=0, bundle_digest=b"")


def _named_signers(data: bytes) -> tuple[bytes, ...]:
    """Whose signatures it says that it bears: what was verified before a crash kept that from the state."""
    return tuple(signature.key_id for signature in signed_pb2.SignedMessage.FromString(data).signatures)


def _by_id(bundle: run_pb2.CredentialBundle) -> dict[bytes, Credential]:
    """What of it can be used. Raises Denial."""
    forgotten = set(bundle.tombstones)
    return {entry.connection_id: _credential(entry) for entry in bundle.entries if entry.connection_id not in forgotten}


def _credential(entry: run_pb2.CredentialEntry) -> Credential:
    secret, references = _object(entry.secret_json), _object(entry.references_json)
    if secret.keys() & references.keys():
        raise open_failed("a bundle with a field that is both in a credential and in its references")
    return Credential(
        connection_id=entry.connection_id,
        name=entry.name,
        kind=entry.kind,
        version=entry.version,
        config=_object(entry.config_json),
        secret=secret,
        allowed_hosts=tuple(entry.allowed_hosts),
        allowed_operations=frozenset(entry.allowed_operations),
        approval_operations=frozenset(entry.approval_operations),
        exposable=entry.exposable,
        references={name: _reference(said) for name, said in references.items()},
    )


def _reference(said: Any) -> SecretReference:
    try:
        reference = SecretReference(**said)
    except TypeError:
        reference = SecretReference("", "")
    values = (reference.manager, reference.path, reference.key, reference.version)
    if not all(isinstance(value, str) for value in values) or not (reference.manager and reference.path):
        raise open_failed("a bundle with a reference that is none")
    return reference


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        # The text of the error would repeat the data.
        value = None
    if not isinstance(value, dict):
        raise open_failed("a bundle with an entry that is no JSON object")
    return value


def _rollback(why: str) -> Denial:
    return Denial(
        reasons_pb2.ERROR_REASON_ROLLBACK_REFUSED, "The runtime knows newer credentials: synchronise them again.", why, document="credential-bundle"
    )
