"""The notebooks run from their first cell to their last, and are kept without outputs."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
TIMEOUT = 300  # seconds for a cell; a notebook takes less than a minute on a quiet machine


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def test_there_are_two() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["the-paper-in-60-lines", "your-ten-images"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_kept(path: Path) -> None:
    """So none can hold a picture of a person."""
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code_cells(path))


def test_the_paper_takes_60_lines() -> None:
    """Imports and the last cell, which shows the result, aside."""
    *cells, _ = code_cells(NOTEBOOKS[0])
    tree = ast.parse("\n".join("".join(cell["source"]) for cell in cells))
    source = "\n".join(ast.unparse(node) for node in tree.body if not isinstance(node, (ast.Import, ast.ImportFrom)))
    written = [line for cell in cells for line in "".join(cell["source"]).splitlines() if line.strip()]
    imports = [line for line in written if line.startswith(("import ", "from "))]
    assert len(written) - len(imports) <= 60
    for term in ("R_b", "R_g", "style_consistency", "gradient_penalty", "landmark_reconstruction", "free_support_barycenter"):
        assert term in source


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = pytest.importorskip("nbclient", reason="pip install 'brule-landmarks[notebooks]'")
    nbformat = pytest.importorskip("nbformat", reason="pip install 'brule-landmarks[notebooks]'")
    pytest.importorskip("ipykernel", reason="pip install 'brule-landmarks[notebooks]'")
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # what the notebook writes goes with the test
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    notebook = nbformat.read(path, as_version=4)
    client.NotebookClient(notebook, timeout=TIMEOUT, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in shown)
