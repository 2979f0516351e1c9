"""Jupyter's wire protocol at the level of bytes.

A message is [identities…, "<IDS|MSG>", hmac, header, parent header, metadata, content, buffers…]. Every message from a kernel must
carry the right HMAC, or it is dropped. Of the JSON parts only the two headers are parsed: the rest is handed on as it came.
"""

import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import orjson

from spin_runtime.kernels.api import KernelMessage

DELIMITER = b"<IDS|MSG>"
EMPTY = b"{}"
# Above this a copy made to sign in one call costs more than feeding the parts.
ONE_SHOT_BYTES = 16_384


class Wire:
    """Signs requests of one kernel's client and verifies the kernel's messages."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._session = os.urandom(16).hex()
        self._counter = 0
        # Messages of one request repeat the same parent header byte for byte.
        self._parent: bytes = EMPTY
        self._parent_id = ""

    def _sign(self, parts: Sequence[bytes]) -> bytes:
        if sum(map(len, parts)) <= ONE_SHOT_BYTES:
            return hmac.digest(self._key, b"".join(parts), "sha256").hex().encode()
        mac = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in parts:
            mac.update(part)
        return mac.hexdigest().encode()

    @property
    def session(self) -> bytes:
        """Names this client; a kernel addresses its input requests to the shell socket's identity."""
        return self._session.encode()

    def request(self, msg_type: str, content: bytes, metadata: bytes = EMPTY, parent: bytes = EMPTY) -> tuple[str, list[bytes]]:
        """A new request's msg_id and its parts."""
        self._counter += 1
        msg_id = f"{self._session}_{self._counter}"
        header = {
            "msg_id": msg_id,
            "session": self._session,
            "username": "spin",
            "date": datetime.now(UTC).isoformat(),
            "msg_type": msg_type,
            "version": "5.4",
        }
        parts = [orjson.dumps(header), parent, metadata, content]
        return msg_id, [DELIMITER, self._sign(parts), *parts]

    def read(self, parts: Sequence[bytes]) -> KernelMessage | None:
        """The message in `parts`; None when it is not one of this kernel's."""
        try:
            start = parts.index(DELIMITER) + 1
            if not hmac.compare_digest(self._sign(parts[start + 1 : start + 5]), parts[start]):
                return None
            header, parent, metadata, content = parts[start + 1 : start + 5]
            return KernelMessage(str(orjson.loads(header)["msg_type"]), self._parent_of(parent), content, metadata, parts[start + 5 :])
        except (ValueError, IndexError, KeyError, TypeError):
            return None

    def _parent_of(self, parent: bytes) -> str:
        if parent != self._parent:
            header = orjson.loads(parent) if len(parent) > 2 else {}
            if not isinstance(header, dict):
                raise TypeError("a parent header that is no object")
            self._parent_id = str(header.get("msg_id", ""))
            self._parent = parent
        return self._parent_id


def content_of(message: KernelMessage) -> Mapping[str, object]:
    """The content as a mapping; empty when the kernel wrote something else."""
    try:
        content = orjson.loads(message.content)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
