"""``python -m logsig_codegen`` is ``logsig-gen``."""

from logsig_codegen.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
