"""All RPCs of the platform, from the descriptors that the gateway serves by: for tests that leave none out."""

import importlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from scripts.platform.settings import ROOT
from spin_client.sdk.errors import SpinError, from_rpc

DESCRIPTORS = ROOT / "protos" / "gen" / "descriptors.binpb"
OPTIONS = [("grpc.enable_http_proxy", 0)]


@dataclass(frozen=True)
class Method:
    descriptor: MethodDescriptor

    @property
    def path(self) -> str:
        return f"/{self.descriptor.containing_service.full_name}/{self.descriptor.name}"

    @property
    def name(self) -> str:
        """ "MemberService/AddMember"."""
        return f"{self.descriptor.containing_service.name}/{self.descriptor.name}"

    @property
    def service(self) -> str:
        """The service's short name, such as "auth"."""
        return self.descriptor.containing_service.full_name.split(".")[1]

    @property
    def in_workspace(self) -> bool:
        return "workspace_id" in self.descriptor.input_type.fields_by_name

    @property
    def internal(self) -> bool:
        """Only for services: its address says so."""
        return b"/v1/internal" in self.descriptor.GetOptions().SerializeToString()

    def request(self, values: Mapping[str, Any]) -> Any:
        """A request with those of the values that it has fields for."""
        request = message_factory.GetMessageClass(self.descriptor.input_type)()
        for field in self.descriptor.input_type.fields:
            if field.name in values and _fits(field, values[field.name]):
                setattr(request, field.name, values[field.name])
        return request

    async def call(self, channel: grpc.aio.Channel, request: Any, metadata: Sequence[tuple[str, str]] = (), *, longest_s: float = 10) -> list[Any]:
        """The answers; of a stream, those that come at once. Raises SpinError."""
        codec = {
            "request_serializer": lambda message: message.SerializeToString(),
            "response_deserializer": message_factory.GetMessageClass(self.descriptor.output_type).FromString,
        }
        try:
            if not self.descriptor.server_streaming:
                return [await channel.unary_unary(self.path, **codec)(request, metadata=metadata, timeout=longest_s)]
            return [answer async for answer in _at_once(channel.unary_stream(self.path, **codec)(request, metadata=metadata, timeout=1.5))]
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, "the platform") from None


async def _at_once(stream: Any) -> AsyncIterator[Any]:
    try:
        async for answer in stream:
            yield answer
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
            raise


def every_method() -> Iterator[Method]:
    pool = descriptor_pool.Default()
    for file in descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
        for service in file.service:
            if file.package.startswith("spinapis."):
                # Only an imported file is in the pool.
                importlib.import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
                for method in pool.FindServiceByName(f"{file.package}.{service.name}").methods:
                    yield Method(method)


async def reason_of(method: Method, channel: grpc.aio.Channel, request: Any, metadata: Sequence[tuple[str, str]] = ()) -> str:
    """ "OK", or the name of the reason."""
    try:
        await method.call(channel, request, metadata)
    except SpinError as error:
        return error.reason
    return "OK"


def _fits(field: FieldDescriptor, value: Any) -> bool:
    kinds = {FieldDescriptor.TYPE_STRING: str, FieldDescriptor.TYPE_BYTES: bytes}
    repeated = field.is_repeated if hasattr(field, "is_repeated") else field.label == FieldDescriptor.LABEL_REPEATED
    return not repeated and isinstance(value, kinds.get(field.type, int)) and field.message_type is None
