"""One architecture family a file, its named variants as constants at the bottom of the file."""
