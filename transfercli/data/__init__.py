"""From files to checked pixels."""
