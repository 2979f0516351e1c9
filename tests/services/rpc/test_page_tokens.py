"""Page tokens: opaque, and good for their own list alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_services.database import pages
from spin_services.rpc.errors import ErrorReason, ServiceError


@given(st.lists(st.one_of(st.integers(0, 2**63 - 1), st.text(st.characters(exclude_characters="\0"))), min_size=1, max_size=4))
def test_a_position_comes_back(position: list[str | int]) -> None:
    assert pages.decode("list", pages.encode("list", *position), *map(type, position)) == position


def test_no_token_is_the_first_page() -> None:
    assert pages.decode("list", "", int) is None


@given(st.text())
def test_other_texts_are_refused(token: str) -> None:
    try:
        assert pages.decode("list", token, int) is None and token == ""
    except ServiceError as error:
        assert error.reason == ErrorReason.ERROR_REASON_PAGE_TOKEN_INVALID


def test_a_token_of_another_list_is_refused() -> None:
    with pytest.raises(ServiceError, match="PAGE_TOKEN_INVALID"):
        pages.decode("members:b", pages.encode("members:a", 1), int)


@pytest.mark.parametrize(("asked", "given_"), [(0, 50), (-1, 50), (7, 7), (10_000, 500)])
def test_page_sizes_have_limits(asked: int, given_: int) -> None:
    assert pages.clamp(asked) == given_
