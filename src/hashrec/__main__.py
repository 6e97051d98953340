"""`python -m hashrec`: the command line without its script."""

from hashrec.index.commands.app import main

if __name__ == "__main__":
    main()
