"""Whatever comes in, the broker answers with a refusal of the catalogue; whatever happened to its journal, it reads a true beginning of it."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spin_envelope.payloads import payload_type
from spin_envelope.signing import sign
from spin_runtime.broker.api import BrokerError, RunEnd
from spin_runtime.broker.disk import Cipher, DiskError
from spin_runtime.broker.journal import Journal
from spinapis.envelope.v1 import receipt_pb2, run_pb2, trust_pb2
from spinapis.envelope.v1.signed_pb2 import Sealed, SignedMessage
from tests.fakes.control_plane import ORIGIN, Client, ControlPlane

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
HOSTILE = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda payload, kind: SignedMessage(payload=payload, payload_type=kind).SerializeToString(), st.binary(max_size=100), st.text(max_size=20)
    ),
    st.builds(lambda header, text: Sealed(header=header, ciphertext=text).SerializeToString(), st.binary(max_size=100), st.binary(max_size=100)),
)


async def test_any_bytes_are_refused(seat) -> None:
    broker, loop = seat.runtime.broker, asyncio.get_running_loop()
    client = Client()

    async def try_everything(data: bytes) -> None:
        calls = (
            broker.open_sealed(data, seat.handle),
            broker.open_sealed(data, data),
            broker.kernel_started(data, "python3"),
            broker.attach(data, data),
            broker.accept_trust([data], b""),
            broker.acknowledge(data),
            broker.pairing_finish(data, [data]),
            broker.hello(data, data, data[:32], data[:32], ORIGIN, [], b""),
            broker.hello(data, data, client.nonce, client.key.public, ORIGIN, [data], data),
        )
        for call in calls:
            with pytest.raises(BrokerError):
                await call

    @QUICK
    @given(HOSTILE)
    def refuse(data: bytes) -> None:
        asyncio.run_coroutine_threadsafe(try_everything(data), loop).result(20)

    await asyncio.to_thread(refuse)
    assert len(await seat.runtime.receipts()) == 2


async def test_any_payload_that_the_compiler_signs(seat, plane: ControlPlane) -> None:
    """A compiler with a fault: the program is authentic and makes no sense. The runtime refuses, and lives on."""
    loop = asyncio.get_running_loop()
    key = plane.keys[trust_pb2.ROLE_COMPILER]

    async def hand_in(data: bytes) -> None:
        signed = SignedMessage(payload=data, payload_type=payload_type(run_pb2.Program))
        honest = SignedMessage.FromString(sign(run_pb2.Program(), key))
        signed.signatures.extend(honest.signatures)
        with pytest.raises(BrokerError):
            await seat.open(plane.seal(signed.SerializeToString(), seat.hello))

    @QUICK
    @given(st.binary(min_size=1, max_size=200))
    def refuse(data: bytes) -> None:
        asyncio.run_coroutine_threadsafe(hand_in(data), loop).result(20)

    await asyncio.to_thread(refuse)
    run = await seat.run()
    await seat.runtime.broker.run_ended(RunEnd(run.nonce, receipt_pb2.RUN_STATUS_OK, 0, bytes(32), False))


BATCHES = st.lists(st.lists(st.binary(max_size=50), min_size=1, max_size=4), max_size=6)


def journal_at(folder: Path) -> Journal:
    return Journal(folder / "journal", Cipher(bytes(32), "journal"))


@QUICK
@given(BATCHES, st.integers(0, 400), st.booleans(), BATCHES)
def test_a_journal_that_was_cut_anywhere_reads_as_a_beginning(before: list[list[bytes]], cut: int, zeros: bool, after: list[list[bytes]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        journal = journal_at(Path(name))
        list(journal.load())
        for batch in before:
            journal.append(batch)
        end = journal.size
        journal.close()
        file = Path(name) / "journal"
        kept = max(end - cut, 0)
        file.write_bytes(file.read_bytes()[:kept] + (bytes(end - kept + 100) if zeros else b""))
        journal = journal_at(Path(name))
        written = [entry for batch in before for entry in batch]
        try:
            read = [entry for _, entry in journal.load()]
        except DiskError:
            # Only the file's very first record, which is written with the file, is never cut by a crash.
            assert kept < 32
            journal.close()
            return
        assert read == written[: len(read)]
        assert cut or read == written
        places = [place for batch in after for place in journal.append(batch)]
        journal.close()
        journal = journal_at(Path(name))
        assert [entry for _, entry in journal.load()] == read + [entry for batch in after for entry in batch]
        assert [journal.read(place) for place in places] == [entry for batch in after for entry in batch]
        journal.close()


@QUICK
@given(BATCHES, st.data())
def test_a_journal_that_was_changed_never_reads_as_something_else(batches: list[list[bytes]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        journal = journal_at(Path(name))
        list(journal.load())
        for batch in batches:
            journal.append(batch)
        end = journal.size
        journal.close()
        file = Path(name) / "journal"
        content = bytearray(file.read_bytes())
        content[data.draw(st.integers(0, end - 1))] ^= data.draw(st.integers(1, 255))
        file.write_bytes(content)
        journal = journal_at(Path(name))
        written = [entry for batch in batches for entry in batch]
        try:
            read = [entry for _, entry in journal.load()]
            assert read == written[: len(read)]
        except DiskError as error:
            assert "damaged" in str(error)
        journal.close()
