"""Running an exported detector with onnxruntime."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from brule.errors import ExportError

PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def check_packages(*names: str) -> None:
    """See that the packages of the extra ``export`` are there.

    Raises:
        ExportError: naming those that are missing, and how to install them.
    """
    missing = [name for name in names or PACKAGES if find_spec(name) is None]
    if missing:
        raise ExportError(f"ONNX needs {' and '.join(missing)}; install it with: pip install 'brule-landmarks[export]'")


def open_session(path: Path | str, *, threads: int = 0) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU, whose threads sleep while they wait.

    Args:
        path: of the ``.onnx`` file.
        threads: within an operator; 0 = one per core.

    Raises:
        ExportError: onnxruntime is missing, or can't read the file.
    """
    check_packages("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Threads that spin take the core from whatever else runs, and wait for it in turn: many times slower on two cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class of its own for every code of its C interface
        raise ExportError(f"{path}: onnxruntime can't run it: {error}") from error
