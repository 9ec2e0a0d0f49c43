WITH RECURSIVE {steps}
SELECT priority FROM steps WHERE priority IS NOT NULL
