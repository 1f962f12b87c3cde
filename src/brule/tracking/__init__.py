"""Following a run: its log, progress bars, callbacks and trackers, and what others read of it from its folder."""
