"""How a release is made and looked at: ``python -m release.build|smoke|changelog|notices``. Not part of the wheel."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = "chatglm-slim-llm"
