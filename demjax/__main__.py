"""``python -m demjax`` is ``demjax``."""

from demjax.cli.main import entry

if __name__ == "__main__":
    entry()
