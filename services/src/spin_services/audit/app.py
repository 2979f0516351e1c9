"""Puts the audit service together."""

from spin_services.audit.appender import Appender
from spin_services.audit.export import Exporter
from spin_services.audit.history_reader import HistoryReader
from spin_services.audit.history_service import HistoryService
from spin_services.audit.history_store import ReceiptStore
from spin_services.audit.identities import EnrolledIdentities
from spin_services.audit.lines import Lines
from spin_services.audit.log_reader import LogReader
from spin_services.audit.log_service import LogService
from spin_services.audit.log_store import LogStore
from spin_services.audit.output_store import OutputStore
from spin_services.audit.proofs import Prover
from spin_services.audit.session_logs import SessionLogs
from spin_services.audit.settings import from_environment
from spin_services.audit.sweeps import Sweeps
from spin_services.audit.transactions import transactions_for
from spin_services.audit.uses import Uses
from spin_services.audit.watching import Growth
from spin_services.database import upgrade
from spin_services.rpc.server import App
from spin_services.rpc.wiring import Wiring
from spinapis.audit.v1.audit_pb2_grpc import add_HistoryServiceServicer_to_server, add_LogServiceServicer_to_server
from spinapis.envelope.v1.trust_pb2 import Role


async def build(wiring: Wiring) -> App:
    """Raises SettingsInvalid."""
    settings = from_environment(wiring.environment)
    await upgrade(wiring.database, "spin_services.audit.migrations")
    transactions, keys, clock = transactions_for(wiring.database), wiring.keys, wiring.clock
    growth = Growth(wiring.notifier)
    store = LogStore(transactions, keys.kek, growth.grown)
    reader = LogReader(transactions, keys.kek)
    prover = Prover(reader, lambda: keys.role_key(Role.ROLE_AUDIT))
    appender = Appender(store, clock)
    history, lines = HistoryReader(transactions), Lines(wiring.peers, clock)
    identities = EnrolledIdentities(wiring.peers, keys, lines, clock)
    sessions = SessionLogs(reader, history, lines, identities)
    log_service = LogService(appender, reader, sessions, prover, Exporter(reader, prover, keys.root_documents), wiring.notifier)
    history_service = HistoryService(
        ReceiptStore(store),
        OutputStore(store),
        sessions,
        history,
        Uses(transactions, lines),
        identities,
        lambda: keys.role_key(Role.ROLE_AUDIT),
        clock,
    )
    return App(
        name="audit",
        servicers=(
            (add_LogServiceServicer_to_server, log_service, "spinapis.audit.v1.LogService"),
            (add_HistoryServiceServicer_to_server, history_service, "spinapis.audit.v1.HistoryService"),
        ),
        close=transactions.close,
        background=(appender.run, growth.run, Sweeps(transactions, store, settings, clock).run),
    )
