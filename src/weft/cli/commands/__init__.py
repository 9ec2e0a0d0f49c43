"""The commands, a file for each: `weft threads ...` is `threads.py`."""
