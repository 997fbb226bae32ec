"""The model at work for someone who must not wait for it, nor go down with it.

``assistant.py`` is what a terminal asks of a model; ``local.py`` answers in this process, ``client.py`` and
``child.py`` in a process of the model's own.
"""
