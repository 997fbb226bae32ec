"""The screens: the chat, and the questions and help that open above it."""
