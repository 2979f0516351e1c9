"""How the broker says no.

- Pure code raises `Refused` (it could not be opened or verified) or `Denial` (a reason of the catalogue). Both carry `why`.
- `refusing` is the border: it logs `why`, which names no payload and no secret, and lets out a `BrokerError`. What could not be
  opened or verified leaves as one text, whatever the cause, so that nobody learns from trying.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from spin_envelope.errors import Refused, RootExpired
from spin_runtime.broker.api import BrokerError
from spin_runtime.broker.disk import DiskError
from spinapis.errors.v1 import reasons_pb2

OPEN_FAILED_TEXT = "The message could not be opened or verified; the runtime's own log says why. Attach again and repeat."

ROOT_EXPIRED_TEXT = "The root document that the runtime knows has expired, so it believes nothing: whoever runs the platform has to renew it."

log = structlog.get_logger("spin.broker")


class Denial(BrokerError):
    """A refusal with a local cause: `why` is for the log."""

    def __init__(self, reason: reasons_pb2.ErrorReason.ValueType, text: str, why: str = "", **metadata: str) -> None:
        super().__init__(reason, text, **metadata)
        self.why = why or text


def open_failed(why: str) -> Denial:
    return Denial(reasons_pb2.ERROR_REASON_OPEN_FAILED, OPEN_FAILED_TEXT, why)


def reason_name(reason: reasons_pb2.ErrorReason.ValueType) -> str:
    """The name as it stands in receipts and logs."""
    return reasons_pb2.ErrorReason.Name(reason)


def root_expired(expired: RootExpired) -> Denial:
    return Denial(reasons_pb2.ERROR_REASON_ROOT_EXPIRED, ROOT_EXPIRED_TEXT, expired.why)


@contextmanager
def refusing(event: str) -> Iterator[None]:
    """Turns every refusal inside into a BrokerError, and logs it as `event`."""
    try:
        yield
    except RootExpired as expired:
        log.warning(event, reason="ROOT_EXPIRED", why=expired.why)
        raise root_expired(expired) from None
    except Refused as refused:
        log.warning(event, reason="OPEN_FAILED", why=refused.why)
        raise open_failed(refused.why) from None
    except Denial as denial:
        log.warning(event, reason=reason_name(denial.reason), why=denial.why)
        raise
    except (OSError, DiskError) as error:
        log.error(event, reason="UNAVAILABLE", why=str(error))
        raise disk_refuses() from None


def disk_refuses() -> BrokerError:
    text = "The runtime cannot use its disk, so it runs nothing. Free or repair its SPIN_HOME, as its log says, and repeat."
    return BrokerError(reasons_pb2.ERROR_REASON_UNAVAILABLE, text, service="runtime")
