"""The tests of treadle; what they share lies here, too."""
