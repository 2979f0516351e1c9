"""Sessions: what runs, in which order, and the stream of frames that tells of it."""
