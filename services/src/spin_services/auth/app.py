"""Puts auth together."""

import asyncio

from spin_services.auth.access import LocalAccess
from spin_services.auth.access_service import AccessService
from spin_services.auth.approval_service import ApprovalService
from spin_services.auth.checked_uses import CheckedUses
from spin_services.auth.documents import Documents
from spin_services.auth.enrolment import Enrolment
from spin_services.auth.enrolment_service import EnrolmentService
from spin_services.auth.first_sign_in import MIGRATIONS, ensure_owner
from spin_services.auth.grant_service import GrantService
from spin_services.auth.grants import Grants
from spin_services.auth.issuer import Issuer
from spin_services.auth.member_service import MemberService
from spin_services.auth.oidc import OidcClient
from spin_services.auth.passwords import Passwords
from spin_services.auth.places import Places
from spin_services.auth.policies import WorkspacePolicies
from spin_services.auth.policy_service import PolicyService
from spin_services.auth.settings import from_environment
from spin_services.auth.sign_in import SignIn
from spin_services.auth.sign_in_service import SignInService
from spin_services.auth.store import Accounts, Approvals, Members, Policies, Runtimes
from spin_services.database import upgrade
from spin_services.keys import expiry
from spin_services.rpc.audit_log import AuditLog
from spin_services.rpc.server import App
from spin_services.rpc.wiring import Wiring
from spinapis.auth.v1 import approvals_pb2_grpc, members_pb2_grpc, policy_pb2_grpc, sign_in_pb2_grpc, trust_pb2_grpc

SWEEP_S = 3600


async def build(wiring: Wiring) -> App:
    platform, keys, clock = wiring.platform, wiring.keys, wiring.clock
    settings = from_environment(wiring.environment, platform.public_url)
    await upgrade(wiring.database, MIGRATIONS)
    accounts, members, runtimes = Accounts(wiring.database), Members(wiring.database), Runtimes(wiring.database)
    approvals, policies = Approvals(wiring.database), Policies(wiring.database)
    issuer = Issuer(accounts, keys, settings, platform.public_url, clock)
    await ensure_owner(accounts, issuer, settings, platform.data_dir, clock())
    access = LocalAccess(accounts, members, wiring.notifier, clock)
    log, documents = AuditLog(wiring.peers), Documents(keys, clock)
    places = Places(wiring.peers, runtimes, clock)
    oidc = {provider.id: OidcClient(provider) for provider in settings.oidc}
    sign_in = SignIn(accounts, issuer, Passwords(), access, log, clock)
    enrolment = Enrolment(runtimes, places, access, documents, log, platform.allowed_origins, settings.min_suite, clock)
    uses = CheckedUses(members, places, wiring.peers, clock)
    workspace_policies = WorkspacePolicies(policies, places)
    grants = Grants(runtimes, approvals, places, uses, workspace_policies, documents, keys, platform.allowed_origins, clock)

    async def sweep() -> None:
        while True:
            await accounts.sweep(clock())
            await runtimes.sweep(clock())
            await asyncio.sleep(SWEEP_S)

    async def close() -> None:
        await asyncio.gather(*(client.close() for client in oidc.values()))

    sign_in_service = SignInService(sign_in, members, keys, settings, oidc, clock)
    enrolment_service = EnrolmentService(enrolment, runtimes, places, workspace_policies, documents, keys, wiring.peers, clock)
    return App(
        name="auth",
        servicers=[
            (sign_in_pb2_grpc.add_SignInServiceServicer_to_server, sign_in_service, "spinapis.auth.v1.SignInService"),
            (
                members_pb2_grpc.add_MemberServiceServicer_to_server,
                MemberService(members, issuer, access, log, clock),
                "spinapis.auth.v1.MemberService",
            ),
            (members_pb2_grpc.add_AccessServiceServicer_to_server, AccessService(members, access, log, clock), "spinapis.auth.v1.AccessService"),
            (trust_pb2_grpc.add_EnrolmentServiceServicer_to_server, enrolment_service, "spinapis.auth.v1.EnrolmentService"),
            (trust_pb2_grpc.add_GrantServiceServicer_to_server, GrantService(grants, uses), "spinapis.auth.v1.GrantService"),
            (
                approvals_pb2_grpc.add_ApprovalServiceServicer_to_server,
                ApprovalService(approvals, uses, documents, log, clock),
                "spinapis.auth.v1.ApprovalService",
            ),
            (
                policy_pb2_grpc.add_PolicyServiceServicer_to_server,
                PolicyService(policies, workspace_policies, log, clock),
                "spinapis.auth.v1.PolicyService",
            ),
        ],
        background=[access.follow, sweep, lambda: expiry.watch(keys.newest, clock)],
        close=close,
        access=access,
        admit=access.admit,
    )
