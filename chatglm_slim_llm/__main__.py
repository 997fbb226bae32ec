"""``python -m chatglm_slim_llm`` is ``chatglm-slim``."""

from __future__ import annotations

import sys

from chatglm_slim_llm.cli import main

sys.exit(main())
