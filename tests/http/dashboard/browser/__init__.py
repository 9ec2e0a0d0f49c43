"""The dashboard as people use it: in Chromium, served by this process."""
