"""From the address in SPIN_KEK to its provider."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from spin_services.keys.kek import KeysUnusable
from spin_services.keys.providers.interface import KekProvider
from spin_services.keys.providers.local import in_environment, in_file

Environment = Mapping[str, str]


def open_provider(uri: str, environment: Environment) -> KekProvider:
    """Nothing is asked of the key service yet. Raises KeysUnusable when the address cannot be one."""
    for scheme, (form, example, opened) in _SCHEMES.items():
        if uri.startswith(scheme):
            found = re.fullmatch(form, uri.removeprefix(scheme))
            if found is None:
                raise KeysUnusable(f"SPIN_KEK is not an address of the form {example}")
            return opened(uri, found, environment)
    raise KeysUnusable(f"SPIN_KEK has an unknown scheme: it starts with one of {', '.join(_SCHEMES)}")


def _file(uri: str, found: re.Match[str], environment: Environment) -> KekProvider:
    return in_file(uri, Path(found[0]))


def _environment(uri: str, found: re.Match[str], environment: Environment) -> KekProvider:
    return in_environment(uri, found[0], environment)


def _aws(uri: str, found: re.Match[str], environment: Environment) -> KekProvider:
    from spin_services.keys.providers.aws_kms import AwsKms

    return AwsKms(uri, found["region"], found["key"])


def _gcp(uri: str, found: re.Match[str], environment: Environment) -> KekProvider:
    from spin_services.keys.providers.gcp_kms import GcpKms

    return GcpKms(uri, found[0])


def _azure(uri: str, found: re.Match[str], environment: Environment) -> KekProvider:
    from spin_services.keys.providers.azure_key_vault import AzureKeyVault

    vault = found["vault"]
    return AzureKeyVault(uri, f"https://{vault}" if "." in vault else f"https://{vault}.vault.azure.net", found["key"])


def _vault(uri: str, found: re.Match[str], environment: Environment) -> KekProvider:
    from spin_services.keys.providers.vault_transit import VaultAccess, VaultTransit

    return VaultTransit(uri, VaultAccess.from_environment(uri, environment), found["mount"], found["key"])


_WORD = r"[A-Za-z0-9_.-]+"
_SCHEMES: dict[str, tuple[str, str, Callable[[str, re.Match[str], Environment], KekProvider]]] = {
    "file://": (r"/.+", "file:///var/lib/spin/kek", _file),
    "env:": (r"[A-Za-z_][A-Za-z0-9_]*", "env:SPIN_KEK_HEX", _environment),
    "aws-kms://": (r"(?P<region>[a-z0-9-]+)/(?P<key>[A-Za-z0-9:/_-]+)", "aws-kms://eu-west-1/alias/spin", _aws),
    "gcp-kms://": (
        rf"projects/{_WORD}/locations/{_WORD}/keyRings/{_WORD}/cryptoKeys/{_WORD}",
        "gcp-kms://projects/P/locations/L/keyRings/R/cryptoKeys/K",
        _gcp,
    ),
    "azure-key-vault://": (r"(?P<vault>[A-Za-z0-9.:-]+)/(?P<key>[A-Za-z0-9-]+)", "azure-key-vault://my-vault/my-key", _azure),
    "vault-transit://": (rf"(?P<mount>{_WORD}(?:/{_WORD})*)/(?P<key>{_WORD})", "vault-transit://transit/spin", _vault),
}
