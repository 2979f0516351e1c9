"""`python -m scripts.certificates FOLDER [NAME…]`: certificates for development and tests, by a CA that it makes there.

- For each name a key and a certificate, as `<name>.spin.internal`; `all` names every service. A client of a runtime takes a name of its own.
- Run again, it renews what ends within 30 days and leaves the rest alone. Keys are readable by their owner alone.
- In production certificates come from a CA that is looked after: cert-manager, or files that somebody puts in place (docs/certificates.md).
"""

import argparse
import sys
from pathlib import Path

from scripts.certificates.authority import Authority
from spin_services.platform import SERVICES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.certificates", description="Makes certificates for development.")
    parser.add_argument("folder", type=Path, help="where they are kept, with the CA")
    parser.add_argument("names", nargs="*", default=[*SERVICES, "all", "gateway"], help="the services, all, the gateway, or a client's own name")
    arguments = parser.parse_args()
    try:
        authority = Authority.opened(arguments.folder)
        for name in arguments.names:
            print(f"{name:12} {authority.issue(name)}")
    except (OSError, ValueError) as error:
        sys.stderr.write(f"certificates: {error}\n")
        return 1
    print(f"{'CA':12} {authority.certificate_file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
