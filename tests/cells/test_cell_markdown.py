"""Markdown cells."""


def test_markdown_is_shown_and_not_run(bench) -> None:
    assert not bench.type.executable
    assert bench.problems("# {{title}} {{secret:x}}") == []
    assert "shown, not run" in bench.refuses("# Title")
