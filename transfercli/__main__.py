"""Entry point of `python -m transfercli`."""

from transfercli.cli.app import main

if __name__ == "__main__":
    main()
