"""The pages in headless Chromium: no error, all pictures there, no sideways scrolling, nothing too small to read."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from brule.data import CropCache
from brule.evaluation import Evaluation
from brule.evaluation.reports import ComparisonReport, StoredEvaluation, comparison_page, evaluation_page

NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (1280, 390)
LONG = "a_name_that_somebody_gave_to_a_file_or_to_a_run_without_thinking_of_those_who_have_to_lay_out_pages_0001"

# Runs before anything of the page: whatever is said on the console or fails to load is noted.
LISTEN = """<script>
window.problems = [];
for (const kind of ["error", "warn"]) console[kind] = (...words) => problems.push(kind + ": " + words.join(" "));
addEventListener("error", e => problems.push(e.message || "can't load " + (e.target.outerHTML || "").slice(0, 80)), true);
addEventListener("securitypolicyviolation", e => problems.push(e.violatedDirective));
</script>"""

# Runs in the page around it. Text in a chart is as large as the chart is drawn.
PROBE = """<script>
function render(frame) {
  const page = frame.contentDocument, root = page.documentElement, sizes = [];
  for (const one of page.querySelectorAll("p, td, th, dt, dd, small, span, figcaption, label, svg text")) {
    const svg = one.closest("svg");
    const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
    if (one.textContent.trim()) sizes.push(parseFloat(frame.contentWindow.getComputedStyle(one).fontSize) * scale);
  }
  return {
    problems: frame.contentWindow.problems,
    broken: [...page.images].filter(image => !(image.complete && image.naturalWidth > 0)).length,
    pictures: page.images.length, charts: page.querySelectorAll("figure.chart svg").length,
    width: root.clientWidth, content: root.scrollWidth, smallest: Math.min(...sizes),
  };
}
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map(render);
  document.querySelector("pre").textContent = JSON.stringify(found);
});
</script>"""


@dataclass(frozen=True)
class Rendered:
    """What a page looks like at one width."""

    problems: list[str]
    broken: int
    pictures: int
    charts: int
    width: int
    content: int
    smallest: float


Render = Callable[[str], list[Rendered]]


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Open a page at all widths at once, each in a frame, without any network."""
    browser = next((path for path in map(shutil.which, NAMES) if path), None)
    if browser is None:
        pytest.skip(f"needs a browser: none of {', '.join(NAMES)} is installed")

    def see(page: str) -> list[Rendered]:
        folder = tmp_path_factory.mktemp("browser")
        inside = html.escape(page.replace("<head>", f"<head>{LISTEN}", 1))
        frames = "".join(f'<iframe width="{width}" height="900" srcdoc="{inside}"></iframe>' for width in WIDTHS)
        path = folder / "around.html"
        path.write_text(f'<!doctype html><meta charset="utf-8"><pre></pre>{PROBE}{frames}', encoding="utf-8")
        words = [
            browser,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND",
        ]
        words += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000", "--dump-dom", path.as_uri()]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        found = re.search(r"<pre>(.+?)</pre>", done.stdout, re.DOTALL)
        assert found, f"the browser gave no page back: {done.stderr[-2000:]}"
        return [Rendered(**one) for one in json.loads(html.unescape(found.group(1)))]

    return see


def check(pages: list[Rendered], *, pictures: int, charts: int) -> None:
    assert [one.width for one in pages] == list(WIDTHS)
    for one in pages:
        assert one.problems == [] and one.broken == 0
        assert (one.pictures, one.charts) == (pictures, charts)
        assert one.content <= one.width, "the page scrolls sideways"
        assert one.smallest >= 9, "pixels"


def test_page_of_an_evaluation(render: Render, measured: Callable[..., Evaluation], drawn: CropCache) -> None:
    page = evaluation_page(
        measured(), title=f"{LONG} on drawn faces", summary=f"{LONG} {LONG}", crop=lambda i: drawn.images[i], files=True,
        facts=[("where", f"here/{LONG}")], pictures=[(drawn.images[0], "a face")], commands=[("so", f"brule {LONG} {LONG}")],
    )  # fmt: skip
    check(render(page), pictures=19, charts=5)


def test_page_of_a_comparison(render: Render, measured: Callable[..., Evaluation]) -> None:
    found = [StoredEvaluation.of(measured(0.02 + 0.01 * i, i), f"runs/{i}_{LONG}") for i in range(4)]
    check(render(comparison_page(ComparisonReport.of(found))), pictures=0, charts=2)


def test_a_bad_page_is_noticed(render: Render) -> None:
    body = '<img src="data:image/png;base64,xx" alt=""><p style="width: 2000px; font-size: 5px">wide</p>'
    body += "<script>nonsense()</script>"
    for one in render(f"<html><head></head><body>{body}</body></html>"):
        assert any("nonsense" in problem for problem in one.problems) and one.broken == 1
        assert one.content >= 2000 and one.smallest == 5
