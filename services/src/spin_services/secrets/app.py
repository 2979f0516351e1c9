"""Puts the secrets service together."""

from collections.abc import Mapping

from spin_cells.api import ConnectionKind
from spin_cells.registry import connection_kinds
from spin_services.database import upgrade
from spin_services.rpc.server import App
from spin_services.rpc.wiring import Wiring
from spin_services.secrets.bundle_store import BundleStore
from spin_services.secrets.credentials import Credentials
from spin_services.secrets.key_service import KeyService
from spin_services.secrets.key_store import KeyVersions
from spin_services.secrets.keyring import Keyring
from spin_services.secrets.kinds import Kinds
from spin_services.secrets.reminders import Reminders
from spin_services.secrets.service import ConnectionService
from spin_services.secrets.settings import from_environment
from spin_services.secrets.store import ConnectionStore
from spinapis.secrets.v1.keys_pb2_grpc import add_KeyServiceServicer_to_server
from spinapis.secrets.v1.secrets_pb2_grpc import add_ConnectionServiceServicer_to_server


async def build(wiring: Wiring, kinds: Mapping[str, ConnectionKind] | None = None) -> App:
    """`kinds` stand in for the installed ones. Raises SettingsInvalid."""
    settings = from_environment(wiring.environment)
    await upgrade(wiring.database, "spin_services.secrets.migrations")
    keyring = Keyring(wiring.kek)
    versions = KeyVersions(wiring.database, keyring, wiring.clock)
    credentials = Credentials(wiring.database, keyring, versions)
    store = ConnectionStore(wiring.database, credentials)
    known = Kinds(connection_kinds() if kinds is None else kinds)
    service = ConnectionService(store, BundleStore(wiring.database), known, wiring.peers, wiring.keys, settings, wiring.clock)
    return App(
        name="secrets",
        servicers=(
            (add_ConnectionServiceServicer_to_server, service, "spinapis.secrets.v1.ConnectionService"),
            (add_KeyServiceServicer_to_server, KeyService(versions, credentials, wiring.peers), "spinapis.secrets.v1.KeyService"),
        ),
        background=(credentials.run, Reminders(store, wiring.peers, wiring.clock).run),
    )
