"""Templates in text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_cells import templates
from spin_cells.templates import Template, Text


def shape(text: str) -> list[str | tuple[str, str]]:
    return [piece.text if isinstance(piece, Text) else (piece.kind, piece.name) for piece in templates.pieces(text)]


def test_values_and_environment_are_found() -> None:
    assert shape("a {{ name }} b {{runtime_env: HOME }}") == ["a ", ("variable", "name"), " b ", ("runtime_env", "HOME")]
    assert shape("{{größe}}") == [("variable", "größe")]


@pytest.mark.parametrize("text", ["{{.Names}}", "{{ a b }}", "{{x:y}}", "{{1}}", "{{}}", "{ {x} }", "{{x", "{{a.b}}", "{{a\n}}"])
def test_what_only_looks_like_one_is_text(text: str) -> None:
    assert "".join(piece for piece in shape(text) if isinstance(piece, str)) == text


def test_a_backslash_makes_text() -> None:
    assert shape(r"\{{end}} {{x}}") == ["{{end}}", " ", ("variable", "x")]


@pytest.mark.parametrize("text", ["{{secret:db}}", "{{secret_var:name}}", "{{ secret : a b }}"])
def test_secrets_are_refused_with_the_way_that_works(text: str) -> None:
    (problem,) = templates.problems(f"x\n  {text}")
    assert (problem.line, problem.column) == (2, 3)
    assert "connection" in problem.message


@pytest.mark.parametrize("text", ["{{runtime_env:}}", "{{runtime_env:a b}}", "{{runtime_env:SPIN_TOKEN}}", "{{runtime_env:spin_token}}", "{{class}}"])
def test_what_cannot_be_a_value_is_refused(text: str) -> None:
    assert templates.problems(text)


@given(st.text(alphabet=st.sampled_from("{}\\abc: \nsecretuimon_v\"'é"), max_size=60))
def test_nothing_is_lost_between_pieces(text: str) -> None:
    found = templates.pieces(text)
    assert "".join(text[piece.start : piece.end] for piece in found) == text
    for piece in found:
        if isinstance(piece, Template):
            assert text[piece.start : piece.end].startswith("{{")
        else:
            assert text[piece.start : piece.end] in (piece.text, f"\\{piece.text}")
