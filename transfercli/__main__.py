"""`python -m transfercli` is `transfercli`."""

from transfercli.cli.app import main

if __name__ == "__main__":
    main()
