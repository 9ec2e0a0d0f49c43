"""The dashboard: its pages in process, and in a browser."""
