"""What LangChain chat models that run a model on this machine can do, side by side, each verdict from a run."""
