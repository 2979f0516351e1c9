"""Documents that auth signs.

Rules: signed with the current key over bytes that are never serialized again; what was signed long ago (enrolments, confirmations) is verified
with the key of its time and given a signature of today's key beside the old one, which changes neither its bytes nor its digest; nothing
that a revoked key alone signed is signed anew.
"""

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from spin_envelope.errors import Refused
from spin_envelope.signing import Verified, countersigned, sign, verify
from spin_services.keys import KeyStore
from spin_services.rpc.errors import ErrorReason, ServiceError
from spinapis.envelope.v1.trust_pb2 import Role

M = TypeVar("M", bound=Message)


class Documents:
    def __init__(self, keys: KeyStore, clock: Callable[[], int]) -> None:
        self._keys = keys
        self._clock = clock

    def sign(self, message: Message) -> bytes:
        return sign(message, self._keys.role_key(Role.ROLE_AUTH))

    def ours(self, data: bytes, cls: type[M]) -> Verified[M]:
        """A document that auth signed, whenever that was. Raises SIGNATURE_INVALID: a row is not believed."""
        try:
            return verify(data, cls, self._keys.every_key(Role.ROLE_AUTH), revoked=self._keys.revoked_key_ids())
        except Refused:
            raise ServiceError(ErrorReason.ERROR_REASON_SIGNATURE_INVALID, document=cls.DESCRIPTOR.name) from None

    def of_today(self, data: bytes, cls: type[Message]) -> bytes:
        """The document with a signature that today's root document vouches for."""
        listed = {key.key_id for key in self._keys.root().keys(Role.ROLE_AUTH)}
        if self.ours(data, cls).key_ids & listed:
            return data
        return countersigned(data, cls, self._keys.role_key(Role.ROLE_AUTH))
