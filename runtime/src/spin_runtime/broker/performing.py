"""An operation that was decided, done by the process half of its cell type: replies for the kernel, with the credential taken out of them.

- Where the remote side does not accept a credential that came from a secret manager, it may have been rotated: it is fetched anew, and where doing
  the operation again changes nothing, that is done once, if nothing was shown yet and the value is another one.
- An exception of a processor may quote a credential. Only `OperationFailed` has a text that is fit for the kernel; others are logged by type.
"""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from spin_cells import secret
from spin_cells.api import Arrow, Credential, CredentialRefused, OperationFailed, Processor, Progress, Result
from spin_runtime.broker.redaction import Redaction
from spin_runtime.broker.refusals import log
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import broker_pb2

CHUNK = 1 << 20


@dataclass(frozen=True)
class Order:
    """An operation that may be done."""

    operation: str
    params: Mapping[str, Any]
    # None for the runtime's own operations.
    credential: Credential | None


@dataclass(frozen=True)
class Refused:
    """The remote side did not accept the credential; its answer follows. `repeatable`: nothing was shown, and doing it again changes nothing."""

    repeatable: bool


# Given whether the operation could be repeated: the credential fetched anew, None where there is no other one.
Renew = Callable[[bool], Awaitable[Credential | None]]


async def performed(processor: Processor, order: Order, credential: Credential, renew: Renew) -> AsyncGenerator[broker_pb2.UseReply]:
    renewed: Credential | None = None
    async with aclosing(_attempt(processor, order, credential)) as attempt:
        async for step in attempt:
            if isinstance(step, broker_pb2.UseReply):
                yield step
            elif (renewed := await renew(step.repeatable)) is not None:
                break
    if renewed is None:
        return
    async with aclosing(_attempt(processor, order, renewed)) as attempt:
        async for step in attempt:
            if isinstance(step, broker_pb2.UseReply):
                yield step


async def _attempt(processor: Processor, order: Order, credential: Credential) -> AsyncGenerator[broker_pb2.UseReply | Refused]:
    redaction, shown = Redaction(credential), False
    try:
        async for item in processor.run(order.operation, order.params, credential):
            if isinstance(item, Result) and item.refused:
                yield Refused(item.repeatable and not shown)
            for clean in [item] if order.operation == secret.OPERATION else redaction.item(item):
                for reply in replies(clean):
                    shown = True
                    yield reply
        for held in redaction.rest():
            yield broker_pb2.UseReply(arrow=held.data)
    except OperationFailed as failed:
        if isinstance(failed, CredentialRefused):
            yield Refused(failed.repeatable and not shown)
        yield failure(reasons_pb2.ERROR_REASON_OPERATION_FAILED, redaction.text(str(failed)))
    except Exception as error:  # a processor is a third party's code: whatever it raises must not reach the kernel
        log.error("processor_failed", operation=order.operation, error=type(error).__name__)
        yield failure(reasons_pb2.ERROR_REASON_OPERATION_FAILED, f"The connection {credential.name!r} failed: {type(error).__name__}")


def replies(item: Arrow | Progress | Result) -> list[broker_pb2.UseReply]:
    match item:
        case Arrow(data):
            return [broker_pb2.UseReply(arrow=data[at : at + CHUNK]) for at in range(0, len(data), CHUNK)]
        case Progress(fraction, text):
            return [broker_pb2.UseReply(progress=broker_pb2.UseProgress(fraction=fraction, text=text))]
        case Result(value):
            return [ended(value)]


def failure(reason: reasons_pb2.ErrorReason.ValueType, message: str) -> broker_pb2.UseReply:
    return broker_pb2.UseReply(failure=broker_pb2.UseFailure(reason=reason, message=message))


def ended(value: Mapping[str, Any]) -> broker_pb2.UseReply:
    return broker_pb2.UseReply(end=broker_pb2.UseEnd(result_json=json.dumps(dict(value)).encode()))
