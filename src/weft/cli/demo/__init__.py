"""`weft demo`: conversations answered by several processes, one of them killed, and the proof."""
