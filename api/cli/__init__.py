"""The command line: `taskledger`. Each module is one command or one group of small ones."""
