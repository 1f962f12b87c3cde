"""Check what a release would publish: `make release-check`.

Builds both archives (the wheel from the sdist, so that the sdist is complete), installs the wheel into a new virtual
environment outside the checkout, and runs the short demo and the docstrings' examples there. Ends with 1 at the first thing
that is wrong.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
# Licences under which a package can be used by a program under the MIT licence without conditions on that program.
REFUSED = ("GNU Affero", "AGPL", "GPLv2", "GPLv3", "GPL-2.0", "GPL-3.0", "UNKNOWN")
DEMO = ("demo", "-o", "demo-run", "--images", "24", "--iterations", "2", "--quiet")


def main() -> None:
    """Run all checks, or with ``--tag`` those alone that a tag has to pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tag", help="check a tag such as v0.1.0 against the version, and nothing else")
    parser.add_argument("--repository", help="with --tag: the address that the tag is in, compared with that in pyproject.toml")
    options = parser.parse_args()
    if options.tag is not None:
        check_tag(options.tag, options.repository)
        return
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", str(dist), str(ROOT))
    (wheel,) = dist.glob("*.whl")
    check_metadata(wheel)
    run(sys.executable, "-m", "twine", "check", "--strict", *map(str, dist.iterdir()))
    with tempfile.TemporaryDirectory(prefix="brule-release-") as place:
        check_installed(wheel, Path(place))
    print(f"\nAll checks passed: {', '.join(sorted(path.name for path in dist.iterdir()))}")


def check_tag(tag: str, repository: str | None) -> None:
    """Compare a tag with the version, and the repository with the address that README and site link to."""
    version = subprocess.run(
        [sys.executable, "-m", "hatchling", "version"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    if tag != f"v{version}":
        sys.exit(f"the tag is {tag}, and the version v{version}: change __version__, or tag again")
    if f"## [{version}]" not in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"):
        sys.exit(f"CHANGELOG.md has no section [{version}]")
    source = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Source"]
    if repository is not None and repository != source:
        sys.exit(f"this is {repository}; pyproject.toml names {source}, where the README's links lead: change one of them")


def check_metadata(wheel: Path) -> None:
    """The wheel holds the data files and no tests; no link of its description depends on the checkout."""
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        description = Parser().parsestr(archive.read(metadata).decode()).get_payload()
    wanted = [f"brule/{path.relative_to(ROOT / 'src/brule').as_posix()}" for path in tracked("src/brule")]
    if missing := sorted(set(wanted) - set(names)):
        sys.exit(f"{wheel.name} lacks {', '.join(missing)}")
    if others := sorted({name.split("/")[0] for name in names if not name.startswith(("brule/", "brule_landmarks-"))}):
        sys.exit(f"{wheel.name} would install {', '.join(others)} beside brule")
    if "](docs/" in str(description):
        sys.exit(f"{wheel.name}: its description has relative links, which lead nowhere on an index page")


def check_installed(wheel: Path, place: Path) -> None:
    """Install the wheel where nothing of the checkout is in reach, and use it."""
    environment = place / "venv"
    run(sys.executable, "-m", "venv", str(environment))
    scripts = environment / ("Scripts" if os.name == "nt" else "bin")
    python = str(scripts / "python")
    run(python, "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints-cpu.txt"), str(wheel), "pytest")
    run(python, "-m", "pip", "check")
    run(
        sys.executable, "-m", "piplicenses", "--python", python, "--partial-match", "--fail-on", ";".join(REFUSED),
        "--ignore-packages", "pip", "setuptools",
    )  # fmt: skip
    work = place / "work"
    work.mkdir()
    shutil.copy(ROOT / "tests" / "test_doctests.py", work)
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    own |= {"OMP_WAIT_POLICY": "PASSIVE", "BRULE_CACHE": str(place / "cache")}
    found = subprocess.run(
        [python, "-c", "import brule; print(brule.__file__)"], cwd=work, env=own, check=True, capture_output=True, text=True
    ).stdout.strip()
    if not Path(found).is_relative_to(environment):
        sys.exit(f"brule was imported from {found}, not from the wheel")
    run(str(scripts / "brule"), *DEMO, cwd=work, env=own)
    if not (work / "demo-run" / "index.html").is_file():
        sys.exit("the demo left no demo-run/index.html")
    run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_doctests.py", cwd=work, env=own)


def tracked(folder: str) -> list[Path]:
    """The files of a folder that git tracks; in an unpacked sdist all of them."""
    listed = subprocess.run(["git", "ls-files", "-z", folder], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        return [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def run(*command: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    """Run a command and end with its exit code where it fails."""
    print("\n$", " ".join(command), flush=True)
    done = subprocess.run(command, cwd=cwd, env=env)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
