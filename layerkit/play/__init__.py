"""The playground: a page in which a network learns, its messages, and the server that answers."""
