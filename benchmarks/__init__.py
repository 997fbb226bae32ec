"""Measurements side by side: ratios against peers or the machine's own limit, with where and when."""
