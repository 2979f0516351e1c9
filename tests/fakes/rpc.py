"""What every fake servicer shares: refusing as the services do, and asking for a token as the gateway does."""

from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

PUBLIC = {
    "ListSignInMethods",
    "RedeemSignInLink",
    "SignInWithPassword",
    "StartOidcSignIn",
    "FinishOidcSignIn",
    "RefreshTokens",
    "ExchangeApiKey",
    "ListRootDocuments",
}


async def refuse(
    context: grpc.aio.ServicerContext, code: grpc.StatusCode, reason: str, text: str, problems: dict[str, str] | None = None, **metadata: str
) -> None:
    """Aborts with google.rpc.Status, as the services do."""
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason=f"ERROR_REASON_{reason}", domain="spin", metadata=metadata))
    details = [info]
    if problems:
        violations = [error_details_pb2.BadRequest.FieldViolation(field=f, description=t) for f, t in problems.items()]
        bad = any_pb2.Any()
        bad.Pack(error_details_pb2.BadRequest(field_violations=violations))
        details.append(bad)
    status = status_pb2.Status(code=code.value[0], message=text, details=details)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    await context.abort(code, text)


class Door(grpc.aio.ServerInterceptor):
    """Lets calls with a living token through; `valid` decides. Notes every call's metadata."""

    def __init__(self, valid: Callable[[str], bool]) -> None:
        self.valid = valid
        self.calls: list[tuple[str, dict[str, str]]] = []

    async def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        handler = await continuation(details)
        metadata = {key: value for key, value in details.invocation_metadata if isinstance(value, str)}
        self.calls.append((details.method, metadata))
        token = metadata.get("authorization", "").removeprefix("Bearer ")
        if handler is None or details.method.rpartition("/")[2] in PUBLIC or self.valid(token):
            return handler

        async def closed(request: Any, context: grpc.aio.ServicerContext) -> Any:
            await refuse(context, grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED" if token else "UNAUTHENTICATED", "no valid access token")

        async def closed_stream(request: Any, context: grpc.aio.ServicerContext) -> Any:
            await closed(request, context)
            yield

        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(closed_stream, handler.request_deserializer, handler.response_serializer)
        return grpc.unary_unary_rpc_method_handler(closed, handler.request_deserializer, handler.response_serializer)
