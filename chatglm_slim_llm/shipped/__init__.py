"""Tools and slash commands that we ship, as plugins like those of others: nothing imports this but the entry points."""
