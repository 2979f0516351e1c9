"""What `spinctl runtime list` says of a runtime's trust."""

import pytest

from spin_client.cli.runtimes import trust_text
from spinapis.auth.v1.trust_pb2 import GetRuntimeTrustResponse


@pytest.mark.parametrize(("at_ms", "said"), [(999, "until"), (1000, "in its grace until"), (1500, "expired")])
def test_how_long_trust_lasts_is_told(at_ms: int, said: str) -> None:
    assert trust_text(GetRuntimeTrustResponse(trust_expires_at_ms=1000, runs_until_ms=1500), at_ms).startswith(said)


def test_a_runtime_that_nobody_attached_to_has_none() -> None:
    assert trust_text(GetRuntimeTrustResponse(), 1).startswith("none yet")
