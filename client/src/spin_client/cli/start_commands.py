"""The commands that start a runtime, ready to paste.

The token stands in the environment and in no command's arguments, where every user of the machine could read it.
"""

from urllib.parse import urlsplit

_TEXT = """    export SPIN_TOKEN={token}

  Docker:
    docker run -d --name spin-runtime -p {port}:8888 -v spin-runtime:/opt/spin/var \\
      -e SPIN_TOKEN -e REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt spin-runtime

  Compose (deploy/compose):
    docker compose up -d runtime

  Kubernetes:
    kubectl create secret generic spin-runtime --from-literal=SPIN_TOKEN="$SPIN_TOKEN" --dry-run=client -o yaml | kubectl apply -f -
    helm upgrade --install spin-runtime helm/spin-runtime --set existingSecret=spin-runtime

  On this machine, without containers:
    SPIN_RUNTIME_PORT={port} spin-runtime"""


def start_commands(token: str, url: str) -> str:
    parts = urlsplit(url)
    return _TEXT.format(token=token, port=parts.port or (443 if parts.scheme == "https" else 80))
