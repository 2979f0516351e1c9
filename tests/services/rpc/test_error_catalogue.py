"""The catalogue of errors and how they travel."""

import grpc
from google.rpc import status_pb2

from spin_services.rpc.errors import CATALOGUE, ErrorReason, ServiceError, from_status, internal, invalid, to_status


def test_the_catalogue_equals_the_enum() -> None:
    assert set(CATALOGUE) == set(ErrorReason.values()) - {ErrorReason.ERROR_REASON_UNSPECIFIED}


def test_every_reason_has_a_text_and_a_failure_code() -> None:
    for code, text in CATALOGUE.values():
        assert code not in (grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN)
        assert text.endswith(".") and len(text) > 10


def test_an_error_survives_the_way_to_the_caller() -> None:
    sent = ServiceError(ErrorReason.ERROR_REASON_CELL_INVALID, "line 3", violations=[("source", "line 3")], cell_type="python")
    received = from_status(status_pb2.Status.FromString(to_status(sent).SerializeToString()))
    assert received is not None
    assert (received.reason, received.text, dict(received.metadata), received.violations) == (
        sent.reason,
        "line 3",
        {"cell_type": "python"},
        (("source", "line 3"),),
    )


def test_a_status_that_is_not_ours_is_not_believed() -> None:
    status = to_status(invalid("name", "too long"))
    status.details[0].value = status.details[0].value.replace(b"spin", b"spam")
    assert from_status(status) is None
    assert from_status(status_pb2.Status(code=13, message="boom")) is None


def test_internal_errors_carry_a_trace_id_and_nothing_else() -> None:
    error = internal("ab" * 16)
    assert dict(error.metadata) == {"trace_id": "ab" * 16}
    assert error.text == CATALOGUE[ErrorReason.ERROR_REASON_INTERNAL][1]
