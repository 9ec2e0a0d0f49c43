"""The tests of weft; what they share lies here, too."""
