"""What the site has beyond docs/*.md: pages made at build time, and links that lead there.

MkDocs calls the functions named ``on_…``. The home page is the README, and there is a page for each command and each public
package. Links to files of the repository that have no page lead to the source, at the address in pyproject.toml.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

from brule.cli import app

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
SOURCE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Source"]
# Files outside docs/ that are pages of the site; docs/README.md lists the pages for a code host, here the navigation does.
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
}
PLACES = {**OUTSIDE, "docs/README.md": "index.md"}
COMMANDS = sorted((name for name in app if not name.startswith("-")), key=lambda name: app[name].sort_key)
# In the order in which people meet them.
PACKAGES = (
    "brule", "brule.detector", "brule.data", "brule.data.formats", "brule.data.synthetic", "brule.locating", "brule.evaluation",
    "brule.choosing", "brule.export", "brule.redrawing", "brule.studies", "brule.annotating", "brule.transport",
    "brule.geometry", "brule.losses", "brule.networks", "brule.model", "brule.training.config", "brule.training.steps",
    "brule.training.terms", "brule.tracking.callbacks", "brule.plots", "brule.coordinates", "brule.errors",
)  # fmt: skip
SHIM = "https://unpkg.com/iframe-worker/shim"
LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?(\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Append the pages made at build time to the navigation."""
    config.copyright = f'MIT licence · <a href="{SOURCE}">source</a>'  # as repo_url, every page would ask GitHub for its stars
    config.nav = [
        *(config.nav or []),
        {"Commands": ["commands.md", *({f"brule {name}": f"commands/{name}.md"} for name in COMMANDS)]},
        {"Reference": [{name: f"reference/{name}.md"} for name in PACKAGES]},
    ]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that aren't files in docs/."""
    pages = {place: (ROOT / name).read_text(encoding="utf-8") for name, place in OUTSIDE.items()}
    pages |= {f"commands/{name}.md": command_page(name) for name in COMMANDS}
    pages |= {f"reference/{name}.md": reference_page(name) for name in PACKAGES}
    for place, content in pages.items():
        files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to where their targets are on the site."""
    place = page.file.src_uri
    if place == "index.md":
        page.meta["hide"] = ["navigation"]
    origin = next((name for name, own in OUTSIDE.items() if own == place), f"docs/{place}")
    return LINK.sub(lambda link: link[1] + target(link[2], origin, place) + (link[3] or "") + link[4], markdown)


def on_post_page(output: str, *, page: Page, config: MkDocsConfig) -> str:
    """Replace the one script that the theme would fetch from elsewhere by ours."""
    return output.replace(SHIM, get_relative_url("site/search-from-disk.js", page.url))


def on_post_template(output: str, *, template_name: str, config: MkDocsConfig) -> str:
    """The same for 404.html, which a server alone shows: it needs none."""
    return output.replace(f'<script src="{SHIM}"></script>', "")


def target(link: str, origin: str, place: str) -> str:
    """A link of the file ``origin`` of the repository as one of the site's page ``place``."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))
    if path in PLACES:
        own = PLACES[path]
    elif path.startswith("docs/"):
        own = path.removeprefix("docs/")
    else:
        return f"{SOURCE}/blob/main/{path}"
    return posixpath.relpath(own, posixpath.dirname(place) or ".")


def command_page(name: str) -> str:
    """The page of a command: its help, and that of its subcommands."""
    directive = (
        f"::: cyclopts\n    module: brule.cli:app\n    commands: [{name}]\n    heading_level: 1\n    generate_toc: false\n"
    )
    return f"# brule {name}\n\n{directive}"


def reference_page(name: str) -> str:
    """The page of a public package or module: what its docstrings document."""
    return f"::: {name}\n"
