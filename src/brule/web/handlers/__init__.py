"""What the page can ask for: one function per address, one file per subject."""
