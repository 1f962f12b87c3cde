"""Memory that a loop frees and asks for again: kept by the process, handed back in the end."""

import json
import subprocess
import sys

import pytest

from brule.allocator import keep_freed_memory

LOOP = """
import json, os, resource, sys
import numpy as np
from brule.allocator import hand_back_freed_memory, keep_freed_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

kept = keep_freed_memory() if sys.argv[1] == "kept" else None
for round in range(60):
    if round == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    own = [np.ones(1 << 20) for _ in range(8)]  # eight times 8 MB, as an iteration's activations
    del own
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
held = resident()
hand_back_freed_memory()
print(json.dumps({"kept": kept, "faults": faults, "handed back": held - resident()}))
"""


def measured(how: str, **environment: str) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", LOOP, how], env={"PATH": "", "PYTHONPATH": ":".join(sys.path), **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    result: dict[str, int] = json.loads(done.stdout)
    return result


on_glibc = pytest.mark.skipif(
    sys.platform != "linux" or not keep_freed_memory(), reason="the C library isn't glibc, or it is tuned already"
)


@on_glibc
def test_a_loop_no_longer_asks_the_kernel_for_pages() -> None:
    plain, kept = measured("plain"), measured("kept")
    assert kept["kept"] is True
    assert kept["faults"] < plain["faults"] / 10
    assert kept["handed back"] > 30e6


@on_glibc
def test_what_the_user_chose_stays() -> None:
    assert measured("kept", MALLOC_TRIM_THRESHOLD_="131072")["kept"] is False


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
