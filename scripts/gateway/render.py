"""Renders gateway/envoy.yaml.j2. `python -m scripts.gateway.render compose > envoy.yaml` prints a profile's configuration.

The local profile is rendered by the platform's supervisor, which knows the ports; compose and Helm name services by DNS.
"""

import argparse
import os
import sys
from pathlib import Path

import jinja2
import yaml

from scripts.gateway.values import SERVICES, Profile, template_values

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "gateway" / "envoy.yaml.j2"


def render(profile: Profile) -> str:
    """The configuration as YAML; raises jinja2.UndefinedError for a value that the template wants and nobody gave."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701 (YAML, not HTML)
    text = environment.from_string(TEMPLATE.read_text()).render(template_values(profile))
    yaml.safe_load(text)
    return text


def deployed(kind: str, public_url: str) -> Profile:
    """The profile inside the gateway's image: services by name, files where the image has them."""
    names = {name: f"{name}:9100" if kind == "compose" else f"spin-{name}:9100" for name in SERVICES}
    return Profile(
        listen="0.0.0.0:8080",
        admin="127.0.0.1:9901",
        public_url=public_url,
        service_addresses=names,
        ui_address="ui:9100" if kind == "compose" else "spin-ui:9100",
        descriptors=ROOT / "protos" / "gen" / "descriptors.binpb",
        discovery="STRICT_DNS",
        trusted_proxies=int(os.environ.get("SPIN_TRUSTED_PROXIES", "0")),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("profile", choices=("compose", "helm"))
    parser.add_argument("--public-url", default="https://spin.example.com", help="the address that browsers use")
    arguments = parser.parse_args()
    sys.stdout.write(render(deployed(arguments.profile, arguments.public_url)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
