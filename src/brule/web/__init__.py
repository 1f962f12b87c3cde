"""The page: annotate, train, correct and export in the browser. Needs the extra ``web`` (Starlette and uvicorn)."""
