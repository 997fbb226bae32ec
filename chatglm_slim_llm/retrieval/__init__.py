"""Documents become chunks, chunks an index, and an index passages that answers can rest on."""
