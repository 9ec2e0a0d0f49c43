WITH RECURSIVE {priorities}
SELECT priority FROM priorities WHERE priority IS NOT NULL
