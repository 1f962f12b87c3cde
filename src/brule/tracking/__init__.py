"""Following a run: its log, progress bars, callbacks and trackers, and its state as read from its folder."""
