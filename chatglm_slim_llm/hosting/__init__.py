"""The model at work for someone who must not wait for it, nor go down with it.

``assistant.py`` is what a terminal asks of a model; ``local.py`` answers in this process, ``client.py`` and
``child.py`` in a process of the model's own. ``model.py`` is what an answer needs of a model: ``own_model.py`` is ours,
``plugin_model.py`` any other. ``tool_rounds.py`` and ``tool_use.py`` let it use tools; ``commands.py`` runs commands.
"""
