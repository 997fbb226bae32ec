"""Model Context Protocol: knowledge bases for other assistants (`server.py`), and tools of other servers (`client.py`).

Everything here but this file needs the extra ``mcp``; nothing here needs torch.
"""
