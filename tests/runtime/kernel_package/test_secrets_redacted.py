"""A value that a cell read is not in what the kernel shows, in whatever pieces and forms; and everything else is as it was."""

import base64
import json
from urllib.parse import quote

import pytest

from spinapis.runtime.v1 import broker_pb2
from tests.runtime.kernel_package.conftest import Broker, Cell, Notebook

VALUE, MARK = "p<ss w'rd/é+0123456789", "[redacted salt]"
READ = "import spin_kernel as _spin, json, base64, html, sys\nfrom urllib.parse import quote\nsalt = _spin.secret('aa' * 16)\n"
SHOWN = {
    "printed": "print('x', salt)",
    "cut at every place": "for at in range(len(salt)):\n    print(salt[:at], end='', flush=True)\n    print(salt[at:], flush=True)",
    "one character at a time": "for c in 'a' + salt + 'b':\n    print(c, end='', flush=True)",
    "on stderr": "print(salt, file=sys.stderr)",
    "a result": "salt",
    "inside a result": "{'a': [salt, 1]}",
    "an error": "raise ValueError('login with ' + salt + ' failed')",
    "a key error": "{}[salt]",
    "a display in JSON": "display({'application/json': {'a': [salt]}, 'text/plain': 'x'}, raw=True)",
    "the key of a display": "display({'application/json': {salt: 1}, 'text/plain': 'x'}, raw=True)",
    "a display in HTML": "display({'text/html': '<b>' + html.escape(salt) + '</b>', 'text/plain': 'x'}, raw=True)",
    "a table": "import pandas as pd\npd.DataFrame({'a': [salt] * 3})",
    "JSON": "print(json.dumps({'a': salt}))",
    "a URL": "print('https://h/?k=' + quote(salt, safe=''))",
    "base64": "print(base64.b64encode(('user:' + salt).encode()).decode())",
    "a subprocess": "_spin.shell.run(['sh', '-c', 'echo \"$V\"'], env={'V': salt})",
    "an assertion": "assert salt == 'other', salt",
}
FORMS = {VALUE, json.dumps(VALUE)[1:-1], repr(VALUE)[1:-1], quote(VALUE, safe=""), "p&lt;ss", base64.b64encode(VALUE.encode()).decode()[4:16]}


@pytest.fixture
def broker() -> Broker:
    end = broker_pb2.UseEnd(result_json=json.dumps({"name": "salt", "value": VALUE}).encode())
    return Broker([broker_pb2.UseReply(end=end)])


def all_of(cell: Cell) -> str:
    """All that a client is shown, pieces of a stream joined."""
    others = [output["content"] for output in cell.outputs if output["msg_type"] not in ("stream", "execute_input")]
    told = json.dumps([others, cell.reply], ensure_ascii=False, default=str)
    return cell.stream() + cell.stream("stderr") + told


@pytest.mark.parametrize("how", SHOWN)
async def test_a_value_is_not_shown(notebook: Notebook, how: str) -> None:
    cell = await notebook.run(READ + SHOWN[how])
    told = all_of(cell)
    assert "redacted" in told
    assert not [form for form in FORMS if form in told]


async def test_code_has_the_value_itself(notebook: Notebook, broker: Broker) -> None:
    assert await notebook.value(READ + "(type(salt) is str, salt == ''.join(map(chr, " + str([*map(ord, VALUE)]) + ")))") == (True, True)
    assert (broker.asked[-1].operation, broker.asked[-1].params_json) == ("secret.read", b"{}")


async def test_what_is_held_back_comes_before_a_display_and_at_the_end(notebook: Notebook) -> None:
    await notebook.run(READ)
    cell = await notebook.run(f"print({VALUE[:4]!r}, end='', flush=True)\ndisplay(1)\nprint({VALUE[:3]!r}, end='')")
    kinds = [output["msg_type"] for output in cell.outputs if output["msg_type"] in ("stream", "display_data")]
    assert kinds in (["stream", "display_data", "stream"], ["stream", "stream", "display_data", "stream"])
    assert cell.stream() == VALUE[:4] + VALUE[:3]


async def test_what_is_held_back_comes_while_the_cell_waits(notebook: Notebook) -> None:
    await notebook.run(READ)
    msg_id = await notebook.send(f"import time\nprint('go {VALUE[:2]}', end='', flush=True)\nwhile True: time.sleep(0.05)")
    text, interrupted = "", False
    async for output in notebook.outputs(msg_id):
        text += output["content"].get("text", "")
        # Once: a second interrupt would meet IPython while it formats the first one.
        if text == "go " + VALUE[:2] and not interrupted:
            interrupted = True
            notebook.manager.interrupt_kernel()
    assert text == "go " + VALUE[:2]


async def test_a_name_that_is_no_secret(notebook: Notebook, broker: Broker) -> None:
    cell = await notebook.run("import spin_kernel as _spin\n_spin.secret_named('sugar', {'salt': 'aa', 'pepper': 'bb'})")
    assert "'sugar' is no exposable secret that you may use here. There are: salt, pepper" in cell.reply["evalue"]
    assert broker.asked == []
