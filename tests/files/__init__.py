"""Files: crashes and several processes."""
