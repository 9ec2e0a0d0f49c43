"""The commands, a file for each: `treadle threads ...` is `threads.py`."""
