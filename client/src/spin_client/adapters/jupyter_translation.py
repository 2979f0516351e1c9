"""Between SPIN's events and Jupyter's messages, pure.

Content, metadata and buffers are the kernel's own, untouched; headers are made anew, and the parent is the request that the client sent. What a
kernel would say and SPIN says otherwise (a refused program, a lost run) becomes the execute_reply that a client waits for.
"""

import secrets
from typing import Any

from jupyter_client.session import Session

from spin_client.adapters.jupyter_channels import Message
from spin_client.sdk.events import InputRequest, Kind, Output, Phase, RunState, Status, object_of
from spinapis.runtime.v1 import frames_pb2

_TYPES = {
    Kind.STREAM: "stream",
    Kind.DISPLAY_DATA: "display_data",
    Kind.EXECUTE_RESULT: "execute_result",
    Kind.ERROR: "error",
    Kind.CLEAR_OUTPUT: "clear_output",
    Kind.UPDATE_DISPLAY_DATA: "update_display_data",
    Kind.EXECUTE_INPUT: "execute_input",
    Kind.STATUS: "status",
    Kind.COMM_OPEN: "comm_open",
    Kind.COMM_MSG: "comm_msg",
    Kind.COMM_CLOSE: "comm_close",
}


class Translator:
    """Makes messages in the kernel's name."""

    def __init__(self) -> None:
        # Messages stay in this process, so the key signs nothing; without one, the library warns.
        self._session = Session(key=secrets.token_bytes(32))

    def message(self, kind: str, content: Any, parent: Message | None, metadata: Any = None, buffers: Any = ()) -> Message:
        made: Message = self._session.msg(kind, dict(content), parent=parent or {}, metadata=dict(metadata or {}))
        made["buffers"] = list(buffers)
        return made

    def status(self, state: str, parent: Message | None) -> Message:
        return self.message("status", {"execution_state": state}, parent)

    def output(self, output: Output, parent: Message | None) -> Message | None:
        """A message for iopub; None for what Jupyter's iopub does not carry."""
        if output.kind is Kind.TRUNCATED:
            text = str(output.content.get("text") or "Output was cut off here by the runtime's limit.") + "\n"
            return self.message("stream", {"name": "stderr", "text": text}, parent)
        kind = _TYPES.get(output.kind)
        return None if kind is None else self.message(kind, output.content, parent, output.metadata, output.buffers)

    def execute_reply(self, output: Output, parent: Message | None) -> Message:
        return self.message("execute_reply", output.content, parent, output.metadata)

    def input_request(self, request: InputRequest, parent: Message | None) -> Message:
        return self.message("input_request", {"prompt": request.prompt, "password": request.password}, parent)

    def error_reply(self, name: str, text: str, parent: Message) -> list[tuple[str, Message]]:
        """For a run that no kernel answers: what was wrong on iopub, the reply on shell, and idle."""
        content = {"ename": name, "evalue": text, "traceback": [f"{name}: {text}"]}
        reply = {"status": "error", "execution_count": 0, "payload": [], "user_expressions": {}, **content}
        return [
            ("iopub", self.message("error", content, parent)),
            ("shell", self.message("execute_reply", reply, parent)),
            ("iopub", self.status("idle", parent)),
        ]

    def aborted_reply(self, parent: Message) -> list[tuple[str, Message]]:
        reply = {"status": "aborted", "execution_count": 0}
        return [("shell", self.message("execute_reply", reply, parent)), ("iopub", self.status("idle", parent))]

    def unanswered(self, state: RunState, parent: Message) -> list[tuple[str, Message]]:
        """What a client must hear when a run ended without the kernel's own reply."""
        if state.status is Status.ABORTED:
            return self.aborted_reply(parent)
        name = state.reason or (state.phase if state.phase is Phase.REJECTED else state.status).name
        return self.error_reply(name, state.message or "the run ended without an answer of the kernel", parent)


def complete_reply(reply: frames_pb2.CompleteReply) -> dict[str, Any]:
    return {
        "status": "ok",
        "matches": list(reply.matches),
        "cursor_start": reply.cursor_start,
        "cursor_end": reply.cursor_end,
        "metadata": object_of(reply.metadata_json),
    }


def inspect_reply(reply: frames_pb2.InspectReply) -> dict[str, Any]:
    return {"status": "ok", "found": reply.found, "data": object_of(reply.data_json), "metadata": {}}
