"""`python -m make` in the vectors' folder writes every file; `python -m make --check` fails when one is not current."""

import json
import sys
from pathlib import Path
from typing import Any

from make import attach, formats, keys, logs, roots, sealed, signed

FOLDER = Path(__file__).resolve().parent.parent


def current(name: str) -> Any:
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def main() -> int:
    made = {
        "keys": keys.make(),
        "formats": formats.make(),
        "signed": signed.make(),
        "roots": roots.make(),
        "sealed": sealed.make(current("sealed")),
        "logs": logs.make(),
        "attach": attach.make(),
    }
    if "--check" in sys.argv[1:]:
        stale = [name for name, vectors in made.items() if vectors != current(name)]
        print("not current:" if stale else "all current", *stale)
        return int(bool(stale))
    for name, vectors in made.items():
        (FOLDER / f"{name}.json").write_text(json.dumps(vectors, indent=1, ensure_ascii=False) + "\n")
    return 0


sys.exit(main())
