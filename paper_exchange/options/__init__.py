"""The options of the command line, a module for each of the groups that ``--help`` shows."""
