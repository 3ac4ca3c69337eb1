"""The README in Chinese has the commands, code, names, links and figures of the English one."""

from __future__ import annotations

import calendar
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGLISH, CHINESE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
MONTHS = "|".join(calendar.month_name[1:])


def blocks(text: str) -> list[list[str]]:
    """The lines of code, without comments."""
    return [re.sub(" +# .*", "", block).splitlines() for block in re.findall(r"^```\w*\n(.*?)^```$", text, re.M | re.S)]


def prose(text: str) -> str:
    return re.sub(r"^```\w*\n.*?^```$", "", text, flags=re.M | re.S)


def numbers(text: str) -> list[str]:
    """All numbers in order of size, months among them; not those of names and links."""
    text = re.sub(r"`[^`]*`|\]\([^)]*\)|bfloat16|BSD 3-clause|BSD 三条款", " ", prose(text))
    text = re.sub(MONTHS, lambda month: str(list(calendar.month_name).index(month[0])), text)
    return sorted(re.findall(r"\d+(?:\.\d+)*", text))


def rows(text: str) -> list[list[str]]:
    """The figures of tables, row by row."""
    return [re.findall(r"\d+\.?\d*", row.split("|", 2)[2]) for row in text.splitlines() if row.startswith("|")]


@pytest.mark.parametrize(
    "found",
    [
        blocks,
        numbers,
        rows,
        lambda text: re.findall("^#+", text, re.M),
        lambda text: sorted(set(re.findall(r"`[^`\n]+`", prose(text)))),
        lambda text: sorted(link for link in re.findall(r"\]\(([^)]*)\)", text) if not link.startswith("README")),
    ],
    ids=["code", "numbers", "tables", "headings", "names", "links"],
)
def test_both_say_the_same(found: object) -> None:
    assert found(CHINESE) == found(ENGLISH)
    assert len(found(ENGLISH)) > 3


def test_each_leads_to_the_other() -> None:
    assert "(README.zh-CN.md)" in ENGLISH.partition("```")[0]
    assert "(README.md)" in CHINESE.partition("```")[0]


def test_another_figure_is_found() -> None:
    assert rows(ENGLISH.replace("784.8", "784.9")) != rows(ENGLISH)
    assert numbers(ENGLISH.replace("7.9 times", "7.8 times")) != numbers(ENGLISH)
    assert blocks(ENGLISH.replace("-n 2", "-n 3")) != blocks(ENGLISH)
