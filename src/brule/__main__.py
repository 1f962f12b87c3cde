"""``python -m brule`` is the command ``brule``."""

from brule.cli import main

raise SystemExit(main())
