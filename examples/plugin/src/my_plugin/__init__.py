"""A plugin to start from: one model, one tool, one slash command, each in a module of its own."""
