"""Every callback ends, whichever fails."""

import pytest

from brule.tracking.callbacks import Callback
from brule.tracking.log import RunLog


def test_all_end_even_if_one_fails(tmp_path):
    ended = []

    class Own(Callback):
        def __init__(self, name):
            self.name = name

        def on_end(self):
            ended.append(self.name)
            if self.name == "a":
                raise KeyError("a")

    with pytest.raises(KeyError, match="a"), RunLog(tmp_path, every=1, callbacks=[Own("a"), Own("b")], quiet=True) as log:
        pass
    assert ended == ["a", "b"] and log._file.closed
