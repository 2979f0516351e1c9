"""spinctl: the platform from a terminal."""
