"""How the demo checkpoint is made: text generators, the training run and its report.

`python -m training.train` rebuilds everything in `chatglm_slim_llm/demo/` from the texts in this folder.
"""
