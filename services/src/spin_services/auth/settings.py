"""auth's own settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from spin_services.environment import Environment, reading

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ISSUER = "_ISSUER"
_PREFIX = "SPIN_OIDC_"


@dataclass(frozen=True)
class OidcProvider:
    id: str
    issuer: str
    client_id: str
    display_name: str
    redirect_uris: tuple[str, ...]
    scopes: str = "openid email profile"
    client_secret: str = field(default="", repr=False)
    # Whether people without an invitation get an account.
    open_sign_up: bool = False


@dataclass(frozen=True)
class Settings:
    owner_email: str = "owner@localhost"
    password_sign_in: bool = True
    # The lowest suite that a runtime may be enrolled with.
    min_suite: int = 2
    refresh_days: int = 30
    sign_in_days: int = 90
    oidc: tuple[OidcProvider, ...] = ()

    def provider(self, provider_id: str) -> OidcProvider | None:
        return next((provider for provider in self.oidc if provider.id == provider_id), None)


def from_environment(values: Mapping[str, str], public_url: str) -> Settings:
    """Raises SettingsInvalid with every fault."""
    with reading(values) as env:
        return Settings(
            owner_email=env.text("SPIN_OWNER_EMAIL", "owner@localhost").strip().lower(),
            password_sign_in=env.flag("SPIN_PASSWORD_SIGN_IN", True),
            min_suite=env.integer("SPIN_MIN_SUITE", 2, 1, 2),
            refresh_days=env.integer("SPIN_REFRESH_DAYS", 30, 1, 365),
            sign_in_days=env.integer("SPIN_SIGN_IN_DAYS", 90, 1, 365),
            oidc=tuple(_provider(env, name, public_url) for name in _provider_names(values)),
        )


def _provider_names(values: Mapping[str, str]) -> list[str]:
    found = (name[len(_PREFIX) : -len(_ISSUER)] for name in values if name.startswith(_PREFIX) and name.endswith(_ISSUER))
    return sorted(name for name in found if name)


def _provider(env: Environment, name: str, public_url: str) -> OidcProvider:
    prefix = f"{_PREFIX}{name}"
    issuer = env.text(f"{prefix}_ISSUER")
    parts = urlsplit(issuer)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        env.fault(f"{prefix}_ISSUER", "is not an https:// address")
    client_id = env.text(f"{prefix}_CLIENT_ID")
    if not client_id:
        env.fault(f"{prefix}_CLIENT_ID", "is missing")
    return OidcProvider(
        id=name.lower(),
        issuer=issuer,
        client_id=client_id,
        client_secret=env.secret(f"{prefix}_CLIENT_SECRET_FILE"),
        display_name=env.text(f"{prefix}_DISPLAY_NAME", name.capitalize()),
        redirect_uris=env.listing(f"{prefix}_REDIRECT_URIS", f"{public_url}/sign-in/callback"),
        scopes=env.text(f"{prefix}_SCOPES", "openid email profile"),
        open_sign_up=env.choice(f"{prefix}_SIGN_UP", "invited", ("invited", "open")) == "open",
    )
