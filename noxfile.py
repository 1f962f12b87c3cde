"""Local matrices: `nox -l` lists the sessions, `nox -s tests-3.12` runs one. CI runs the same commands."""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "tests"]
nox.options.error_on_missing_interpreters = False

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
TORCHES = ("2.6.0", "2.13.0")  # the oldest that is supported, and that of constraints-cpu.txt
THREADS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "UV_TORCH_BACKEND": "cpu"}


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting and types."""
    install(session, ".[dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """All tests but those marked long; arguments after -- go to pytest."""
    install(session, ".[dev,notebooks]")
    session.run("pytest", "-n", "2", "--dist", "loadfile", "-m", "not long", *session.posargs, env=THREADS)


@nox.session(python="3.10")
@nox.parametrize("torch", TORCHES)
def torches(session: nox.Session, torch: str) -> None:
    """The quick tests with the oldest and the newest torch."""
    session.install(f"torch=={torch}", env=THREADS)
    session.install(".[dev]", f"torch=={torch}", env=THREADS)
    session.run("pytest", "-n", "2", "--dist", "loadfile", "-m", "not long and not slow", *session.posargs, env=THREADS)


@nox.session
def coverage(session: nox.Session) -> None:
    """The share of lines and branches that the tests reach."""
    install(session, ".[dev]")
    session.run("pytest", "-n", "2", "--dist", "loadfile", "-m", "not long", "--cov", "--cov-report=term", env=THREADS)


@nox.session
def notebooks(session: nox.Session) -> None:
    """The notebooks, from their first cell to their last."""
    install(session, ".[dev,notebooks]")
    session.run("pytest", "tests/test_notebooks.py", env=THREADS)


@nox.session
def docs(session: nox.Session) -> None:
    """The site, built strictly."""
    install(session, ".[docs]")
    session.run("mkdocs", "build", "--strict")


@nox.session
def package(session: nox.Session) -> None:
    """Both archives, and the wheel in an environment without the checkout."""
    install(session, ".[release]")
    session.run("python", "tools/release_check.py", env=THREADS)


def install(session: nox.Session, what: str) -> None:
    """Install brule with the torch of constraints-cpu.txt."""
    session.install("-c", "constraints-cpu.txt", "-e", what, env=THREADS)
