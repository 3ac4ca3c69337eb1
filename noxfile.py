#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["nox>=2025.2.9"]
# ///
"""Development tasks: ``nox -l`` lists them, ``nox -s lint`` runs one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"

PYPROJECT = nox.project.load_toml("pyproject.toml")


def group(name: str) -> list[str]:
    """The requirements of a dependency group."""
    return list(nox.project.dependency_groups(PYPROJECT, name))


@nox.session(python=["3.10", "3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Run the tests against an installed package."""
    session.install(".[test]")
    session.run("python", "-m", "rnncore", "info")
    session.run("pytest", *session.posargs)


@nox.session(python="3.10", default=False)
def oldest(session: nox.Session) -> None:
    """Run the tests with the oldest NumPy that is supported."""
    session.install(".[test]", "numpy==1.26.*")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style of Python and C++."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    sources = subprocess.run(["git", "ls-files", "*.h", "*.cpp"], capture_output=True, text=True, check=True)
    session.run("clang-format", "--dry-run", "-Werror", *sources.stdout.split())
    session.run("zizmor", "--offline", "--min-severity", "medium", ".github")


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types, and the stub of the compiled module against the module."""
    session.install(".", *group("typing"))
    session.run("mypy")
    allowlist = Path(".ci/stubtest-allowlist").resolve()
    session.chdir(session.create_tmp())
    session.run("stubtest", "--allowlist", str(allowlist), "rnncore._core")


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the pages in the folder `site`, warnings as errors, and follow their links; the tests run their code."""
    session.install(".[docs]")
    session.run(".ci/docs", "site", external=True, env={"PYTHON": "python"})


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """Look at the pages in the folder `site` in a Chromium of the system: layout, contrast, keyboard, search."""
    session.install(*group("browser"))
    session.run("python", "docs/check_site", "site", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Time the kernels beside other packages."""
    session.install(".", *group("bench"))
    session.run("pytest", "benchmarks", *session.posargs)


@nox.session(default=False)
@nox.parametrize("form", ["short", "address", "thread"])
def sanitizers(session: nox.Session, form: str) -> None:
    """Run the tests on a core that is built with sanitizers: `.ci/sanitize`."""
    project = PYPROJECT["project"]
    session.install(*project["dependencies"], *project["optional-dependencies"]["test"])
    session.run(".ci/sanitize", form, *session.posargs, external=True, env={"PYTHON": "python"})


if __name__ == "__main__":
    nox.main()
