"""`python -m hashrec`, and the script `hashrec`: the command line."""

from hashrec.command_line import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
