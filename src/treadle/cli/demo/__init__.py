"""`treadle demo`: several processes answer conversations, one is killed, and a proof."""
