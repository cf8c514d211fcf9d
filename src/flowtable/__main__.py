"""``python -m flowtable``."""

from flowtable.cli import main

if __name__ == "__main__":
    main()
