"""Raw cells."""


def test_raw_text_is_kept_and_not_run(bench) -> None:
    assert not bench.type.executable
    assert bench.problems("\\LaTeX {{x}}") == []
    assert "not run" in bench.refuses("\\LaTeX")
