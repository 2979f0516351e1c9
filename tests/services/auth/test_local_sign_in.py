"""Signing in with links, passwords and API keys, over real gRPC."""

import json
import stat
from typing import Any

import jwt
import pytest

from spin_services.auth.first_sign_in import new_link
from spinapis.auth.v1 import members_pb2, sign_in_pb2
from spinapis.envelope.v1.trust_pb2 import Role
from tests.fakes.installation import ORIGIN, refused

PASSWORD = "correct horse battery"


def password_request(email: str, password: str) -> sign_in_pb2.SignInWithPasswordRequest:
    return sign_in_pb2.SignInWithPasswordRequest(email=email, password=password)


async def set_password(auth: Any, person: Any, new: str = PASSWORD, old: str = "") -> None:
    await auth.sign_in.SetPassword(sign_in_pb2.SetPasswordRequest(old_password=old, new_password=new), metadata=person.metadata)


async def current(auth: Any, person: Any) -> Any:
    return (await auth.sign_in.GetCurrentUser(sign_in_pb2.GetCurrentUserRequest(), metadata=person.metadata)).user


async def refresh(auth: Any, token: str) -> sign_in_pb2.Tokens:
    tokens: sign_in_pb2.Tokens = (await auth.sign_in.RefreshTokens(sign_in_pb2.RefreshTokensRequest(refresh_token=token))).tokens
    return tokens


async def test_the_first_start_leaves_one_link_that_only_the_owner_of_the_files_can_read(auth_on: Any) -> None:
    file = auth_on.installation.platform.data_dir / "first-sign-in"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    owner = await auth_on.owner()
    assert owner.user.is_admin and owner.user.email == "owner@localhost" and not owner.user.has_password
    with refused() as refusal:
        await auth_on.owner()
    assert refusal.reason == "SIGN_IN_LINK_INVALID"


async def test_a_second_start_makes_no_second_owner(auth: Any) -> None:
    from spin_services.auth.app import build

    token = auth.first_token
    wiring = auth.installation.wiring("auth")
    await build(wiring)
    await wiring.close()
    assert auth.first_token == token


async def test_a_link_expires_after_a_day(auth: Any) -> None:
    auth.installation.clock.advance(24 * 3600 + 1)
    with refused() as refusal:
        await auth.owner()
    assert refusal.reason == "SIGN_IN_LINK_INVALID"


async def test_the_command_makes_another_link(auth: Any) -> None:
    await auth.owner()
    link = await new_link(auth.installation.wiring("auth"), "")
    address, _, token = link.partition("#token=")
    assert address == f"{ORIGIN}/sign-in"
    assert (await auth.redeem(token)).user.email == "owner@localhost"
    with pytest.raises(LookupError):
        await new_link(auth.installation.wiring("auth"), "nobody@example.org")


async def test_a_password_signs_in(auth_on: Any) -> None:
    owner = await auth_on.owner()
    await set_password(auth_on, owner)
    answer = await auth_on.sign_in.SignInWithPassword(password_request(" Owner@localhost ", PASSWORD))
    assert answer.user.id == owner.id and answer.user.has_password


async def test_unknown_people_and_wrong_passwords_get_the_same_answer(auth: Any) -> None:
    await set_password(auth, await auth.owner())
    answers = []
    for email, password in (("owner@localhost", "wrong password"), ("nobody@example.org", PASSWORD), ("owner@localhost", "x" * 5000)):
        with refused() as refusal:
            await auth.sign_in.SignInWithPassword(password_request(email, password))
        answers.append((refusal.reason, refusal.error.text if refusal.error else "", refusal.error.metadata if refusal.error else None))
    assert answers == [("CREDENTIALS_INVALID", "The e-mail or the password is wrong.", {})] * 3


async def test_someone_without_a_password_cannot_sign_in_with_an_empty_one(auth: Any) -> None:
    await auth.owner()
    with refused() as refusal:
        await auth.sign_in.SignInWithPassword(password_request("owner@localhost", ""))
    assert refusal.reason == "CREDENTIALS_INVALID"


@pytest.mark.parametrize("email", ["owner@localhost", "nobody@example.org"])
async def test_guessing_is_slowed_down_for_real_and_unknown_accounts(auth: Any, email: str) -> None:
    await set_password(auth, await auth.owner())
    reasons = []
    for _ in range(7):
        with refused() as refusal:
            await auth.sign_in.SignInWithPassword(password_request(email, "wrong password"))
        reasons.append(refusal.reason)
    assert reasons == ["CREDENTIALS_INVALID"] * 5 + ["RATE_LIMITED"] * 2
    assert refusal.error is not None and int(refusal.error.metadata["retry_after_s"]) in range(1, 31)


async def test_the_right_password_counts_again_after_the_wait(auth: Any) -> None:
    await set_password(auth, await auth.owner())
    for _ in range(6):
        with refused():
            await auth.sign_in.SignInWithPassword(password_request("owner@localhost", "wrong password"))
    with refused() as refusal:
        await auth.sign_in.SignInWithPassword(password_request("owner@localhost", PASSWORD))
    assert refusal.reason == "RATE_LIMITED"
    auth.installation.clock.advance(31)
    await auth.sign_in.SignInWithPassword(password_request("owner@localhost", PASSWORD))


async def test_a_password_has_a_length_and_the_old_one_is_wanted(auth: Any) -> None:
    owner = await auth.owner()
    for short in ("", "elevenchars", "x" * 2000):
        with refused() as refusal:
            await set_password(auth, owner, short)
        assert refusal.reason == "INVALID_ARGUMENT"
    await set_password(auth, owner)
    with refused() as refusal:
        await set_password(auth, owner, "another password", "wrong password")
    assert refusal.reason == "CREDENTIALS_INVALID"
    await set_password(auth, owner, "another password", PASSWORD)


@pytest.mark.parametrize("weak", ["password1234", "qwertyuiop123", "aaaaaaaaaaaaaa", "owner@localhost1", "spinnotebook"])
async def test_a_password_that_is_easily_guessed_is_refused(auth: Any, weak: str) -> None:
    owner = await auth.owner()
    with refused() as refusal:
        await set_password(auth, owner, weak)
    assert refusal.reason == "INVALID_ARGUMENT" and refusal.error is not None
    assert "easily guessed" in str(refusal.error) and weak not in str(refusal.error)


async def test_a_long_password_is_judged_in_no_time_and_kept_whole(auth: Any) -> None:
    owner, long = await auth.owner(), "".join(f"word {n} of many " for n in range(60))
    await set_password(auth, owner, long)
    await auth.sign_in.SignInWithPassword(password_request("owner@localhost", long))
    with refused() as refusal:
        await auth.sign_in.SignInWithPassword(password_request("owner@localhost", long[:-1]))
    assert refusal.reason == "CREDENTIALS_INVALID"


async def test_a_new_password_ends_other_sign_ins_at_once(auth: Any) -> None:
    owner = await auth.owner()
    await set_password(auth, owner)
    thief = (await auth.sign_in.SignInWithPassword(password_request("owner@localhost", PASSWORD))).tokens
    await set_password(auth, owner, "another password", PASSWORD)
    await current(auth, owner)
    with refused() as refusal:
        await auth.sign_in.GetCurrentUser(sign_in_pb2.GetCurrentUserRequest(), metadata=(("authorization", f"Bearer {thief.access_token}"),))
    assert refusal.reason == "UNAUTHENTICATED"
    with refused():
        await refresh(auth, thief.refresh_token)


async def test_passwords_can_be_turned_off(installation: Any, auth_class: Any) -> None:
    auth = auth_class(installation)
    await auth.start({"SPIN_PASSWORD_SIGN_IN": "false", "SPIN_OWNER_EMAIL": "Ada@Example.org"})
    owner = await auth.owner()
    assert owner.user.email == "ada@example.org"
    await set_password(auth, owner)
    with refused() as refusal:
        await auth.sign_in.SignInWithPassword(password_request("ada@example.org", PASSWORD))
    assert refusal.reason == "CREDENTIALS_INVALID"
    assert not (await auth.sign_in.ListSignInMethods(sign_in_pb2.ListSignInMethodsRequest())).password


async def test_tokens_say_who_for_how_long_and_nothing_else(auth: Any) -> None:
    owner = await auth.owner()
    claims = jwt.decode(owner.tokens.access_token, options={"verify_signature": False})
    assert claims.keys() == {"iss", "aud", "sub", "sid", "jti", "iat", "exp", "kind", "adm"}
    assert (claims["iss"], claims["aud"], claims["sub"], claims["kind"]) == (ORIGIN, "spin", owner.id, "person")
    assert claims["exp"] - claims["iat"] == 600 and owner.tokens.access_expires_at_ms == claims["exp"] * 1000


async def test_the_key_set_verifies_tokens_across_a_rotation(auth: Any) -> None:
    before = await auth.owner()
    published = await key_set(auth)
    auth.installation.keys.rotate(Role.ROLE_AUTH)
    after = await refresh(auth, before.tokens.refresh_token)
    for keys in (published, await key_set(auth)):
        for token in (before.tokens.access_token, after.access_token):
            kid = jwt.get_unverified_header(token)["kid"]
            assert jwt.decode(token, keys[kid], algorithms=["EdDSA"], audience="spin", issuer=ORIGIN)["sub"] == before.id
    assert jwt.get_unverified_header(after.access_token)["kid"] != jwt.get_unverified_header(before.tokens.access_token)["kid"]


async def key_set(auth: Any) -> Any:
    answer = await auth.sign_in.GetJwks(sign_in_pb2.GetJwksRequest())
    members = ("kty", "crv", "x", "kid", "alg", "use")
    text = json.dumps({"keys": [{name: getattr(key, name) for name in members} for key in answer.keys]})
    return jwt.PyJWKSet.from_json(text)


async def test_a_refresh_token_works_once_and_coming_again_ends_everything(auth_on: Any) -> None:
    owner = await auth_on.owner()
    tokens = await refresh(auth_on, owner.tokens.refresh_token)
    with refused() as refusal:
        await refresh(auth_on, owner.tokens.refresh_token)
    assert refusal.reason == "REFRESH_REUSED"
    with refused() as refusal:
        await refresh(auth_on, tokens.refresh_token)
    assert refusal.reason == "UNAUTHENTICATED"
    with refused() as refusal:
        await current(auth_on, owner)
    assert refusal.reason == "UNAUTHENTICATED"


async def test_a_refresh_token_ends_with_its_time_and_the_sign_in_with_its_own(auth: Any) -> None:
    owner = await auth.owner()
    tokens = owner.tokens
    for _ in range(4):
        auth.installation.clock.advance(29 * 24 * 3600)
        if auth.installation.clock.offset_ms > 90 * 24 * 3600 * 1000:
            with refused() as refusal:
                await refresh(auth, tokens.refresh_token)
            assert refusal.reason == "UNAUTHENTICATED"
        else:
            tokens = await refresh(auth, tokens.refresh_token)


@pytest.mark.parametrize("token", ["", "spr1.", "spr1.unknown", "spl1.unknown", "x" * 10_000])
async def test_refresh_tokens_that_were_never_given_out(auth: Any, token: str) -> None:
    with refused() as refusal:
        await refresh(auth, token)
    assert refusal.reason == "UNAUTHENTICATED"


async def test_signing_out_ends_the_access_token_too(auth: Any) -> None:
    owner = await auth.owner()
    await current(auth, owner)
    await auth.sign_in.SignOut(sign_in_pb2.SignOutRequest(refresh_token=owner.tokens.refresh_token))
    with refused() as refusal:
        await current(auth, owner)
    assert refusal.reason == "UNAUTHENTICATED"
    with refused():
        await refresh(auth, owner.tokens.refresh_token)
    await auth.sign_in.SignOut(sign_in_pb2.SignOutRequest(refresh_token="spr1.unknown"))


async def test_an_expired_access_token_does_not_keep_anyone_from_refreshing(auth: Any) -> None:
    owner = await auth.owner()
    auth.installation.clock.advance(700)
    with refused() as refusal:
        await current(auth, owner)
    assert refusal.reason == "TOKEN_EXPIRED"
    request = sign_in_pb2.RefreshTokensRequest(refresh_token=owner.tokens.refresh_token)
    await auth.sign_in.RefreshTokens(request, metadata=owner.metadata)


async def test_a_token_of_a_sign_in_that_does_not_exist_is_refused(auth: Any) -> None:
    owner = await auth.owner()
    with refused() as refusal:
        await auth.sign_in.GetCurrentUser(sign_in_pb2.GetCurrentUserRequest(), metadata=auth.installation.as_user(owner.id))
    assert refusal.reason == "UNAUTHENTICATED"


async def test_nothing_that_was_handed_out_lies_in_the_database(auth: Any) -> None:
    owner = await auth.owner()
    workspace = await auth.found(owner)
    await set_password(auth, owner)
    key = await auth.members.CreateApiKey(
        members_pb2.CreateApiKeyRequest(workspace_id=workspace, name="ci", role=members_pb2.MEMBER_ROLE_AGENT), metadata=owner.metadata
    )
    handed_out = [auth.first_token, owner.tokens.refresh_token, owner.tokens.access_token, key.secret, PASSWORD]
    stored = b"".join(path.read_bytes() for path in (auth.installation.platform.data_dir / "db").iterdir())
    assert not [secret for secret in handed_out if secret.encode() in stored]
