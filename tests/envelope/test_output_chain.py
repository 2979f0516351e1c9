"""The output chain: order, kind, length and content of every output count."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from spin_envelope.chain import OutputChain
from spin_envelope.errors import Refused

OUTPUTS = [(1, b"a"), (2, b"bc"), (1, b"")]


def chained(outputs: list[tuple[int, bytes]]) -> bytes:
    chain = OutputChain()
    chain.extend(outputs)
    return chain.digest


def test_the_chain_of_the_vectors(vectors_of: Callable[..., Any]) -> None:
    chain, links = OutputChain(), vectors_of("formats", "chain")
    assert (chain.frames, chain.digest) == (0, bytes(32))
    for link in links:
        chain.append(link["kind"], bytes.fromhex(link["body"]))
        assert (chain.frames, chain.digest.hex()) == (link["frames"], link["digest"])


def test_a_chain_goes_on_from_a_receipt() -> None:
    first = OutputChain()
    first.extend(OUTPUTS[:2])
    second = OutputChain(first.frames, first.digest)
    second.append(*OUTPUTS[2])
    assert (second.frames, second.digest) == (3, chained(OUTPUTS))


def test_whatever_is_changed_changes_the_chain() -> None:
    changed = [OUTPUTS[::-1], OUTPUTS[:2], [(1, b"a"), (3, b"bc"), (1, b"")], [(1, b"ab"), (2, b"c"), (1, b"")], [*OUTPUTS, (1, b"")]]
    assert len({chained(OUTPUTS), *map(chained, changed)}) == 6


def test_a_number_that_does_not_fit_is_refused_and_what_came_before_is_chained() -> None:
    for kind in (256, -1):
        chain = OutputChain()
        with pytest.raises(Refused):
            chain.extend([OUTPUTS[0], (kind, b"")])
        assert (chain.frames, chain.digest) == (1, chained(OUTPUTS[:1]))
    with pytest.raises(Refused):
        OutputChain(2**32 - 1).append(1, b"")


def test_small_outputs_are_cheap() -> None:
    """About a microsecond each; what grows with the chain would take far longer than this bound for a busy machine."""
    outputs, chain = [(1, bytes(80))] * 20_000, OutputChain()
    start = time.process_time()
    chain.extend(outputs)
    assert (time.process_time() - start) / len(outputs) < 100e-6
