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


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{secret:db}}", ("secret", "db")),
        ("{{ secret : a b }}", ("secret", "a b")),
        ('{{secret:"a b"}}', ("secret", "a b")),
        ("{{secret:'a b'}}", ("secret", "a b")),
        ("{{secret_var:name}}", ("secret_var", "name")),
    ],
)
def test_secrets_are_found_by_name_and_by_variable(text: str, found: tuple[str, str]) -> None:
    assert shape(f"x {text}") == ["x ", found]
    assert templates.problems(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "{{runtime_env:}}",
        "{{runtime_env:a b}}",
        "{{runtime_env:SPIN_TOKEN}}",
        "{{runtime_env:spin_token}}",
        "{{class}}",
        "{{secret:}}",
        "{{secret_var:}}",
        "{{secret_var:a b}}",
        "{{secret_var:class}}",
    ],
)
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
