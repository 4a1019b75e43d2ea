"""Files: networks and checkpoints, written atomically and verified when they are read."""
