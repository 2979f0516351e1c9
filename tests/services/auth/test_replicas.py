"""Two replicas of auth over one PostgreSQL: what one revokes the other refuses at once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spin_services.auth.app import build
from spinapis.auth.v1 import members_pb2, sign_in_pb2
from spinapis.auth.v1.sign_in_pb2_grpc import SignInServiceStub
from tests.fakes import postgres
from tests.fakes.installation import Installation, free_ports, refused


@pytest.fixture
async def pair(tmp_path: Path, postgres_address: str, auth_class: Any) -> AsyncIterator[tuple[Any, Any]]:
    url = await postgres.new_database(postgres_address)
    first, second = Installation(tmp_path, url), Installation(tmp_path, url)
    second.platform = replace(second.platform, addresses={**first.platform.addresses, "auth": f"127.0.0.1:{free_ports(1)[0]}"})
    auth = auth_class(first)
    await auth.start()
    wiring = second.wiring("auth")
    await second.start(await build(wiring), wiring)
    yield auth, SignInServiceStub(second.channel("auth"))
    await second.close()
    await first.close()
    await postgres.drop_database(url)


async def test_a_sign_out_on_one_replica_counts_on_the_other(pair: tuple[Any, Any]) -> None:
    auth, other = pair
    owner = await auth.owner()
    await other.GetCurrentUser(sign_in_pb2.GetCurrentUserRequest(), metadata=owner.metadata)
    await auth.sign_in.SignOut(sign_in_pb2.SignOutRequest(refresh_token=owner.tokens.refresh_token))
    await asyncio.sleep(0.3)
    with refused() as refusal:
        await other.GetCurrentUser(sign_in_pb2.GetCurrentUserRequest(), metadata=owner.metadata)
    assert refusal.reason == "UNAUTHENTICATED"


async def test_a_refresh_token_is_good_on_either_and_once_in_all(pair: tuple[Any, Any]) -> None:
    auth, other = pair
    owner = await auth.owner()
    request = sign_in_pb2.RefreshTokensRequest(refresh_token=owner.tokens.refresh_token)
    await other.RefreshTokens(request)
    with refused() as refusal:
        await auth.sign_in.RefreshTokens(request)
    assert refusal.reason == "REFRESH_REUSED"


async def test_an_api_key_that_one_replica_revoked(pair: tuple[Any, Any]) -> None:
    auth, other = pair
    owner = await auth.owner()
    workspace = await auth.found(owner)
    request = members_pb2.CreateApiKeyRequest(workspace_id=workspace, name="ci", role=members_pb2.MEMBER_ROLE_AGENT)
    made = await auth.members.CreateApiKey(request, metadata=owner.metadata)
    tokens = (await other.ExchangeApiKey(sign_in_pb2.ExchangeApiKeyRequest(api_key=made.secret))).tokens
    metadata = (("authorization", f"Bearer {tokens.access_token}"),)
    await other.GetCurrentUser(sign_in_pb2.GetCurrentUserRequest(), metadata=metadata)
    await auth.members.RevokeApiKey(members_pb2.RevokeApiKeyRequest(workspace_id=workspace, api_key_id=made.api_key.id), metadata=owner.metadata)
    await asyncio.sleep(0.3)
    with refused() as refusal:
        await other.GetCurrentUser(sign_in_pb2.GetCurrentUserRequest(), metadata=metadata)
    assert refusal.reason == "UNAUTHENTICATED"
