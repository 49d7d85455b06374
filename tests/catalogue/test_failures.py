"""Every failure of the catalogue has a test in its name, and every test named is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.catalogue.failures import HERE, SURVIVED, as_markdown

ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT.parent / "shared" / "design" / "failures.md"
DOCUMENT = ROOT / "docs" / "reliability.md"
NAMED = sorted({test for items in SURVIVED.values() for tests in items.values() for test in tests})


def items(text: str, heading: str) -> list[str]:
    """Return the items under a heading: one paragraph, split where the dots are."""
    (paragraph,) = re.findall(
        rf"^\*\*{heading}\*\* — (.+?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL
    )
    return [" ".join(item.split()) for item in paragraph.rstrip(".\n").split("·")]


@cache
def functions_in(path: str) -> dict[str, str]:
    """Return the functions of a file, each with its decorators; the file is read, not run."""
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    return {
        node.name: " ".join(map(ast.unparse, node.decorator_list))
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("heading", SURVIVED)
def test_every_failure_of_the_catalogue_has_a_test(heading: str) -> None:
    if not CATALOGUE.exists():
        pytest.skip("the catalogue of failures is not beside this repository")
    assert items(CATALOGUE.read_text(encoding="utf-8"), heading) == list(SURVIVED[heading])
    assert all(SURVIVED[heading].values())


@pytest.mark.parametrize("test", NAMED)
def test_a_test_that_is_named_is_collected_and_not_skipped(test: str) -> None:
    path, name = test.split("::")
    assert re.fullmatch(r"tests/(\w+/)*test_\w+\.py", path)
    assert name.startswith("test_")
    decorators = functions_in(path).get(name)
    assert decorators is not None, f"{path} has no such test"
    assert not re.search("skip|xfail", decorators)


@pytest.mark.parametrize("heading", SURVIVED)
def test_every_test_written_for_the_catalogue_is_in_it(heading: str) -> None:
    path = f"{HERE}/test_{heading.lower()}_failures.py"
    written = {f"{path}::{name}" for name in functions_in(path) if name.startswith("test_")}
    assert written
    assert written <= {test for tests in SURVIVED[heading].values() for test in tests}


def test_the_document_lists_what_is_tested() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    _, section = text.split("\n## Failures survived\n")
    section = section.split("\n## ")[0]
    for heading, survived in SURVIVED.items():
        assert as_markdown(heading, survived) in section


def test_a_paragraph_is_split_into_its_items() -> None:
    text = "# Failures\n\n**Job** — one · two,\nin two lines · three.\n\n**Relay** — four.\n"
    assert items(text, "Job") == ["one", "two, in two lines", "three"]
    assert items(text, "Relay") == ["four"]
