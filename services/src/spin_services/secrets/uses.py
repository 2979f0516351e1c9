"""What auth asks before it grants a run: who may use each connection, which version it has, what it guards. Pure.

Rules: connections outside the line that auth names are not found; whether somebody may use one is decided by their role in the connection's own
workspace, as when a cell is compiled; that they may run cells at all is auth's to say.
"""

from collections.abc import Mapping, Sequence

from spin_services.rpc.errors import invalid
from spin_services.secrets import wire
from spin_services.secrets.domain import Connection
from spin_services.secrets.grant_wire import role_name
from spin_services.secrets.grants import Person, may_use
from spinapis.secrets.v1 import secrets_pb2 as pb

MOST_PERSONS, MOST_CONNECTIONS = 1000, 100


def check_request(request: pb.CheckUsesRequest) -> None:
    """Raises INVALID_ARGUMENT."""
    if request.workspace_id not in request.line:
        raise invalid("line", "The line begins with the workspace of the run.")
    if len(request.connection_ids) > MOST_CONNECTIONS:
        raise invalid("connection_ids", f"At most {MOST_CONNECTIONS} connections.")
    if len(request.persons) > MOST_PERSONS:
        raise invalid("persons", f"At most {MOST_PERSONS} persons.")
    for field, ids in (("line", request.line), ("connection_ids", request.connection_ids)):
        for found in ids:
            wire.check_id(field, found)
    for place, person in enumerate(request.persons):
        if len(person.roles) != len(request.line):
            raise invalid(f"persons[{place}].roles", "There is one role for each workspace of the line.")


def checked(request: pb.CheckUsesRequest, found: Mapping[str, Connection]) -> list[pb.CheckedConnection]:
    wanted = [found[connection_id] for connection_id in dict.fromkeys(request.connection_ids) if connection_id in found]
    return [
        pb.CheckedConnection(
            id=connection.id,
            workspace_id=connection.workspace_id,
            name=connection.name,
            version=connection.version,
            approval_operations=connection.approval_operations,
            refused=_refused(connection, request.line, request.persons),
        )
        for connection in wanted
    ]


def _refused(connection: Connection, line: Sequence[str], persons: Sequence[pb.UsingPerson]) -> list[int]:
    at = list(line).index(connection.workspace_id)
    return [place for place, person in enumerate(persons) if not may_use(connection.grants, Person(person.user_id, role_name(person.roles[at])))]
