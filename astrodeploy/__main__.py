"""python -m astrodeploy: the command line."""

from astrodeploy.cli import main

if __name__ == "__main__":
    main()
