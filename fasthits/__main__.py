"""``python -m fasthits`` is the command ``fasthits``."""

from fasthits.cli import main

if __name__ == "__main__":
    main()
