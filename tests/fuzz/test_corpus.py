"""Every kept input and every seed, through its target: a value or the module's own refusal, in bounded memory."""

import tracemalloc

import pytest

from tests.fuzz import corpus
from tests.fuzz.target import MEMORY_BYTES, Target
from tests.fuzz.targets import TARGETS

every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))


@every_target
def test_kept_inputs(target: Target) -> None:
    inputs = [*target.seeds(), *(file.read_bytes() for file in corpus.files(target))]
    # What the first call imports and caches is no input's doing.
    target.run(inputs[0])
    tracemalloc.start()
    try:
        for data in inputs:
            tracemalloc.reset_peak()
            held, _ = tracemalloc.get_traced_memory()
            target.run(data)
            assert tracemalloc.get_traced_memory()[1] - held < MEMORY_BYTES
    finally:
        tracemalloc.stop()


@every_target
def test_corpus_is_small_and_named_by_content(target: Target) -> None:
    kept = corpus.files(target)
    assert 0 < len(kept) <= 2 * corpus.MOST
    assert [file.name for file in kept] == sorted(corpus.name_of(file.read_bytes()) for file in kept)


def test_no_corpus_without_a_target() -> None:
    assert {folder.name for folder in corpus.CORPUS.iterdir()} == set(TARGETS)
