"""Prompts: who answers them, and how long they may be. Over the real socket, with real kernels."""

from spin_runtime.session.collector import LONGEST_PROMPT
from spinapis.envelope.v1 import receipt_pb2
from spinapis.errors.v1 import reasons_pb2
from spinapis.runtime.v1 import frames_pb2 as f
from tests.fakes.control_plane import Client
from tests.fakes.runtime_rig import Rig

OK = receipt_pb2.RUN_STATUS_OK


async def test_input_is_asked_for_and_answered_once(rig: Rig) -> None:
    async with rig.attached() as seat:
        await seat.start_kernel()
        nonce = await seat.submit("import getpass\nprint('got', input('Name? '), getpass.getpass('Word? '))", allow_stdin=True)
        first = await seat.body("input_request")
        assert (first.prompt, first.password, first.nonce) == ("Name? ", False, nonce)
        await seat.send(input_reply=f.InputReply(request_id=first.request_id, value="Ada"))
        second = await seat.body("input_request")
        assert second.password
        await seat.send(input_reply=f.InputReply(request_id=first.request_id, value="again"))
        assert (await seat.body("error")).reason == reasons_pb2.ERROR_REASON_NOT_FOUND
        await seat.send(input_reply=f.InputReply(request_id=second.request_id, value="tea"))
        assert (await seat.ended(nonce)).status == OK
        assert "got Ada tea" in seat.text()


async def test_a_prompt_is_answered_by_whoever_ran_the_cell_and_by_nobody_else(rig: Rig) -> None:
    """A debugger that stops is a prompt as well: what is typed there is code, with the run's ticket."""
    async with rig.attached() as ann:
        await ann.start_kernel()
        nonce = await ann.submit("import pdb; pdb.set_trace()\nprint('done')", allow_stdin=True)
        ben = Client("user-b", ann.person.session_id, ann.person.notebook_id)
        agent = Client(ann.person.user_id, ann.person.session_id, ann.person.notebook_id)
        for person, capability in ((ben, {}), (agent, {"actor_chain": ["api_key:1"]})):
            async with rig.attached(person, **capability) as seat:
                asked = (await seat.until(lambda frame: frame.WhichOneof("body") == "input_request")).input_request
                await seat.send(input_reply=f.InputReply(request_id=asked.request_id, value="print('not ' + 'mine')"))
                error = await seat.body("error")
                assert error.reason == reasons_pb2.ERROR_REASON_INPUT_REFUSED
                assert "Whoever ran this cell" in error.message and error.metadata == {"user_id": ann.person.user_id}
        # It is open still, for her; also on another connection of hers.
        async with rig.attached(Client(ann.person.user_id, ann.person.session_id, ann.person.notebook_id)) as again:
            await again.send(input_reply=f.InputReply(request_id=asked.request_id, value="c"))
            assert (await again.ended(nonce)).status == OK
        assert (await ann.ended(nonce)).status == OK
        assert "done" in ann.text() and "not mine" not in ann.text()


async def test_a_prompt_without_end_is_cut(rig: Rig) -> None:
    """A frame that clients do not take would stand in the stream for good, and nobody could follow the session."""
    async with rig.attached() as seat:
        await seat.start_kernel()
        nonce = await seat.submit("print(input('x' * 1_000_000))", allow_stdin=True)
        asked = (await seat.until(lambda frame: frame.WhichOneof("body") == "input_request")).input_request
        assert asked.prompt == "x" * LONGEST_PROMPT
        await seat.send(input_reply=f.InputReply(request_id=asked.request_id, value="yes"))
        assert (await seat.ended(nonce)).status == OK
