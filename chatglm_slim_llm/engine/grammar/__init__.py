"""Replies that must have a form: from schemas to grammars, and from grammars to the tokens that may come next."""
