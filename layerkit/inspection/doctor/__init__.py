"""The doctor: what may keep a network from learning, found in its data, values and history."""
