"""The commands, a file or a folder for each: `treadle threads ...` is `threads/`."""
