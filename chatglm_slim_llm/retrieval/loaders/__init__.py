"""Files become sections of text: one module for each family of formats, each a plugin of ``chatglm_slim.loaders``.

A loader is a function ``load(path) -> Iterator[Section]`` under the file's suffix, which raises ``UnreadableFileError``
for a file that it cannot read. Which files are read, and in which process, is decided elsewhere.
"""
