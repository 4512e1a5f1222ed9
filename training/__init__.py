"""Train the reader: one command from the question sets to the weights in the package."""
