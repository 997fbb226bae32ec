"""The terminal assistant, ``chatglm-tui``.

It paints before anything heavy loads: nothing here imports torch, transformers or LangChain. The
model arrives through ``assistant.py`` in a thread of its own.
"""
