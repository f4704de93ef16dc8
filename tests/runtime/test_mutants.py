"""Mutation testing itself: operators do what they say, to code alone, and a verdict is that of the tests."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from support.paths import ROOT

pytest.importorskip("scripts.mutants.mutation", reason="only a checkout has the scripts")

from scripts.mutants import __main__ as command
from scripts.mutants import concerning_tests, trial
from scripts.mutants.allowed import read_allowed
from scripts.mutants.mutation import Mutation
from scripts.mutants.native_operators import native_mutations
from scripts.mutants.python_operators import python_mutations
from scripts.mutants.trial import Trials, Verdict

NATIVE = "native/src/made_up.cpp"


def mutants(path: str, source: str) -> dict[str, set[str]]:
    """The mutated sources by operator."""
    find = native_mutations if path == NATIVE else python_mutations
    found: dict[str, set[str]] = {}
    for mutation in find(path, source.encode()):
        found.setdefault(mutation.operator, set()).add(mutation.applied(source.encode()).decode())
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", {"comparison turned": {"a <= b"}}),
        ("a >= b != c", {"comparison turned": {"a > b != c", "a >= b == c"}}),
        ("a not in b", {"comparison turned": {"a in b"}}),
        ("a is None", {"comparison turned": {"a is not None"}}),
        ("é = 'é'; a <= b", {"comparison turned": {"é = 'é'; a < b"}}),
        ("a = 7", {"constant off by one": {"a = 6", "a = 8"}}),
        ("a = 0", {"constant off by one": {"a = (-1)", "a = 1"}}),
        ("a = True, 1.5, '7', f'{7}'", {}),
        ("a: Literal[7] = b", {}),
        ("if a:\n    raise E", {"check deleted": {"if False:\n    raise E", "if a:\n    pass"}}),
        ("if a:\n    b\nelse:\n    c", {"branches swapped": {"if (not (a)):\n    b\nelse:\n    c"}}),
        ("a if b else c", {"branches swapped": {"a if (not (b)) else c"}}),
        ("(a) and b", {"boolean operator turned": {"(a) or b"}}),
        ("not a", {"boolean operator turned": {"(a)"}}),
        ("int(a + b)", {"cast dropped": {"(a + b)"}}),
        ("a.astype(b)", {"cast dropped": {"(a)"}}),
        ("'''a < 7'''  # a < 7", {}),
    ],
)
def test_python_operators_do_what_they_say(source: str, expected: dict[str, set[str]]) -> None:
    assert mutants("edgecodec/made_up.py", source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("return a < b;", {"comparison turned": {"return a <= b;"}}),
        ("vector<int> a; b->c >> d;", {}),
        ("a == b;", {"comparison turned": {"a != b;"}}),
        ("return 7u;", {"constant off by one": {"return 6u;", "return 8u;"}}),
        ("return 0x10;", {"constant off by one": {"return 15;", "return 17;"}}),
        ("return a2 + 1.5 + b.c3;", {}),
        ("if (f(a)) reader.fail(b);", {"check deleted": {"if (false && (f(a))) reader.fail(b);"}}),
        (
            "if (a) {\n    throw B;\n}",
            {"check deleted": {"if (false && (a)) {\n    throw B;\n}", "if (a) {\n    ;\n}"}},
        ),
        ("if (a) b(); else c();", {"branches swapped": {"if (!(a)) b(); else c();"}}),
        ("if (a) {\n    b();\n} else {\n}", {"branches swapped": {"if (!(a)) {\n    b();\n} else {\n}"}}),
        ("if (a) b();", {}),
        ("return a ? b : c;", {"branches swapped": {"return a ? c : b;"}}),
        ("a && b;", {"boolean operator turned": {"a || b;"}}),
        ("f(static_cast<vector<int>>(a));", {"cast dropped": {"f((a));"}}),
        ("return static_cast<int>(a) * b;", {"cast dropped": {"return (a) * b;"}}),
        ("auto a = static_cast<int>(b);", {"cast dropped": {"auto a = (b);"}}),
        ("return static_cast<int>(a);", {}),
        ("byte[i] = static_cast<uint8_t>(a - b);", {}),
        ("int a;\n    byte[i] = static_cast<uint8_t>(a - b);", {}),
        ("f({a, static_cast<uint8_t>(b),\n   static_cast<uint8_t>(b)});", {}),
        ("f({a}, static_cast<int>(b), c);", {"cast dropped": {"f({a}, (b), c);"}}),
        ("uint64_t{a} * b;", {"cast dropped": {"a * b;"}}),
        ('// a < 7\n/* a < 7 */ f("a < 7 \\" a < 7");\n#if a < 7\n', {}),
    ],
)
def test_native_operators_do_what_they_say(source: str, expected: dict[str, set[str]]) -> None:
    assert mutants(NATIVE, source) == expected


def test_every_mutation_of_the_runtime_is_valid_python_and_concerns_tests() -> None:
    paths = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "edgecodec").glob("**/*.py"))
    assert len(paths) > 50
    for path in paths:
        assert all((ROOT / test).is_file() for test in concerning_tests.concerning_tests(path))
        source = (ROOT / path).read_bytes()
        for mutation in python_mutations(path, source)[::7]:
            mutated = mutation.applied(source)
            ast.parse(mutated)
            assert mutated != source and mutation.operator and mutation.line <= source.count(b"\n")


def test_every_native_file_concerns_tests_and_programs_that_there_are() -> None:
    paths = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "native/src").glob("**/*.cpp"))
    assert len(paths) > 50
    for path in paths:
        tests = concerning_tests.concerning_tests(path)
        assert tests and all((ROOT / test).is_file() for test in tests)
        programs = concerning_tests.concerning_programs(path)
        assert all((ROOT / "tests/native" / f"{program}.cpp").is_file() for program in programs)
    assert concerning_tests.concerning_programs("native/src/runtime/job.cpp")


def test_the_same_seed_chooses_the_same_mutants() -> None:
    paths = ["edgecodec/files.py", "native/src/rans/decoder.cpp"]
    first = command.chosen(ROOT, paths, 20, 1)
    assert first == command.chosen(ROOT, paths, 20, 1) != command.chosen(ROOT, paths, 20, 2)
    assert len({(mutation.path, mutation.line) for mutation in first}) == 20


@pytest.fixture
def trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trials:
    """Trials in a folder with one function and one test of it."""
    (tmp_path / "sign.py").write_text("def positive(a):\n    return a > 0\n")
    (tmp_path / "test_sign.py").write_text(
        "from sign import positive\n\n\ndef test_positive():\n    assert positive(1) and not positive(-1)\n"
    )
    monkeypatch.setattr(trial, "concerning_tests", lambda path: ["test_sign.py"])
    return Trials(tmp_path, 60, library=tmp_path / "none.so")


def test_verdicts_are_those_of_the_tests(trials: Trials, tmp_path: Path) -> None:
    source = (tmp_path / "sign.py").read_bytes()
    trials.check_unmutated(["sign.py"])
    verdicts = {
        mutation.changed_lines(source)[1]: trials.verdict(mutation) for mutation in python_mutations("sign.py", source)
    }
    assert verdicts == {
        "return a >= 0": Verdict("survived"),  # no test calls it with 0
        "return a > (-1)": Verdict("survived"),
        "return a > 1": Verdict("killed", "test_sign.py::test_positive"),
    }
    assert (tmp_path / "sign.py").read_bytes() == source


def test_what_a_native_program_notices_needs_no_other_test(
    trials: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "build/mutants/tests/bounds"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\ngrep -q 'a >= 0' sign.py || exit 0\necho 'failed: the bound'\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(trial, "concerning_programs", lambda path: ["bounds"])
    source = (tmp_path / "sign.py").read_bytes()
    verdicts = {
        mutation.changed_lines(source)[1]: trials.verdict(mutation) for mutation in python_mutations("sign.py", source)
    }
    assert verdicts == {
        "return a >= 0": Verdict("killed", "bounds: the bound"),
        "return a > (-1)": Verdict("survived"),
        "return a > 1": Verdict("killed", "test_sign.py::test_positive"),
    }


def test_a_mutant_that_never_ends_is_ended(trials: Trials, tmp_path: Path) -> None:
    start = (tmp_path / "sign.py").read_bytes().index(b"    return")
    endless = Mutation("sign.py", 2, "made up", start, start, b"    while True: pass\n")
    assert Trials(tmp_path, 3, library=tmp_path / "none.so").verdict(endless) == Verdict("timeout")


def test_tests_that_fail_by_themselves_give_no_verdict(trials: Trials, tmp_path: Path) -> None:
    (tmp_path / "sign.py").write_text("def positive(a):\n    return a\n")
    with pytest.raises(trial.TrialError, match="without a mutation"):
        trials.check_unmutated(["sign.py"])


def test_the_list_of_what_is_allowed_fits_the_source() -> None:
    """A line that is no longer there, or a mutant that no operator makes, is listed for nothing."""
    for allowed in read_allowed(command.ALLOWED).values():
        source = (ROOT / allowed.path).read_bytes()
        made = {mutation.changed_lines(source) for mutation in command.mutations_of(ROOT, allowed.path)}
        assert (allowed.before, allowed.after) in made and allowed.reason


def test_the_summary_counts_by_folder() -> None:
    results = [{"path": "a/b.py", "verdict": "killed"}, {"path": "a/c.py", "verdict": "survived"}]
    lines = list(command.table([*results, {"path": "d/e.cpp", "verdict": "killed"}]))
    assert lines[2:] == [
        "| a | 2 | 1 | 1 | 0 | 0 | 0 |",
        "| d | 1 | 1 | 0 | 0 | 0 | 0 |",
        "| all | 3 | 2 | 1 | 0 | 0 | 0 |",
    ]
