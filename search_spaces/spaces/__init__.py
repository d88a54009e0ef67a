"""One file a search space; `search_spaces.load` finds them by file name."""
