"""bin/ates: the app's command line on the data of the running system."""

import os
import sys
from pathlib import Path

from embedded import cluster, data_folder
from embedded.errors import EmbeddedError
from embedded.programs import flask
from embedded.settings import ROOT


def main() -> None:
    """Become the app's command line, or do what `cluster` asks for.

    Exit code 1 and one line if there is no data to work on.
    """
    if sys.argv[1:2] == ["cluster"]:
        try:
            cluster.main(sys.argv[2:])
        except EmbeddedError as error:
            sys.exit(str(error))
        return
    env = dict(os.environ)
    if not env.get("DATABASE_URL"):
        data_dir = Path(env.get("ATES_DATA") or ROOT / "var").absolute()
        running = data_folder.published(data_dir)
        if not running:
            sys.exit(f"No aTES runs in {data_dir}: start bin/run, or set DATABASE_URL.")
        env |= running
    command = flask(*sys.argv[1:])
    os.execve(command[0], command, env | {"PYTHONPATH": str(ROOT)})


if __name__ == "__main__":
    main()
