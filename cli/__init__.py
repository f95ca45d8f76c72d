"""How blursynth and blurvid are used from the command line."""
