"""login, logout, whoami. Secrets come from a prompt, a file or standard input; none is printed or stored in settings."""

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from spin_client.cli.command_context import Command, run, secret_text
from spin_client.cli.messages import plain
from spin_client.cli.settings import remember, settings_file
from spin_client.sdk import oidc
from spin_client.sdk.errors import SpinError
from spin_client.sdk.platform import Platform
from spinapis.auth.v1 import sign_in_pb2

Source = Annotated[Path | None, typer.Option("--from", help="Read the secret from this file; - is standard input.")]


def register(app: typer.Typer) -> None:
    app.command("login")(login)
    app.command("logout")(logout)
    app.command("whoami")(whoami)
    app.command("set-password")(set_password)


def login(
    context: typer.Context,
    link: Annotated[bool, typer.Option("--link", help="With a one-time sign-in link or its token.")] = False,
    email: Annotated[str, typer.Option(help="With this e-mail address and a password.")] = "",
    api_key: Annotated[bool, typer.Option("--api-key", help="With a machine's API key.")] = False,
    provider: Annotated[str, typer.Option("--oidc", help="In the browser, with this provider.")] = "",
    redirect_port: Annotated[int, typer.Option(help="Port of the loopback address that the browser comes back to.")] = oidc.DEFAULT_PORT,
    source: Source = None,
) -> None:
    """Sign in. Without options: what the platform offers, chosen by a question."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            kind = _kind(link=link, email=email, api_key=api_key, provider=provider) or await _offered(platform, source)
            if kind == "api-key":
                await platform.sign_in_with_api_key(secret_text(source, "API key"))
                _signed_in(command, {"kind": "api_key"}, "an API key")
                return
            user = await _person(command, platform, kind, email, provider, redirect_port, source)
            _signed_in(command, plain(user), user.email or user.id)

    run(context, body)


def logout(
    context: typer.Context,
    forget_trust: Annotated[bool, typer.Option("--forget-trust", help="Also forget the platform's pinned root document.")] = False,
) -> None:
    """Close the sign-in here and at the platform."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            forgotten = platform.trust.forget() if forget_trust else False
            try:
                await platform.sign_out()
            except SpinError as error:
                if not (forget_trust and error.reason == "NOT_SIGNED_IN"):
                    raise
            command.out.done(f"Signed out of {platform.endpoint.origin}.", {"url": platform.endpoint.origin, "trust_forgotten": forgotten})

    run(context, body)


def whoami(context: typer.Context) -> None:
    """Who is signed in, and where."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            user = await platform.current_user()
            command.out.item({"url": platform.endpoint.origin, **plain(user)})

    run(context, body)


def set_password(context: typer.Context, source: Source = None) -> None:
    """Set your password: the new one from a prompt or --from; the old one is asked for where one is set."""

    async def body(command: Command) -> None:
        async with command.platform() as platform:
            user = await platform.current_user()
            old = secret_text(None, "Old password") if user.has_password and source is None else ""
            new = secret_text(source, "New password (12 characters or more)")
            await platform.sign_in.SetPassword(sign_in_pb2.SetPasswordRequest(old_password=old, new_password=new))
            command.out.done("Your password is set.", {"password_set": True})

    run(context, body)


def _kind(*, link: bool, email: str, api_key: bool, provider: str) -> str:
    chosen = [name for name, given in (("link", link), ("password", email), ("api-key", api_key), ("oidc", provider)) if given]
    if len(chosen) > 1:
        raise SpinError("INVALID_ARGUMENT", "choose one way to sign in: --link, --email, --api-key or --oidc")
    return chosen[0] if chosen else ""


async def _offered(platform: Platform, source: Path | None) -> str:
    if source is not None or not sys.stdin.isatty():
        return "link"
    methods = await platform.sign_in.ListSignInMethods(sign_in_pb2.ListSignInMethodsRequest())
    offered = ["link", *(["password"] if methods.password else []), *(f"oidc:{p.id}" for p in methods.oidc_providers)]
    return str(typer.prompt(f"Sign in with ({', '.join(offered)})", default=offered[0], err=True))


async def _person(
    command: Command, platform: Platform, kind: str, email: str, provider: str, redirect_port: int, source: Path | None
) -> sign_in_pb2.User:
    name, _, chosen = kind.partition(":")
    if name == "link":
        return await platform.sign_in_with_link(secret_text(source, "Sign-in link or token"))
    if name == "password":
        address = email or str(typer.prompt("E-mail address", err=True))
        return await platform.sign_in_with_password(address, secret_text(source, "Password"))
    if name == "oidc":

        def show(url: str) -> None:
            command.out.note(f"Go on in your browser: {url}")
            webbrowser.open(url)

        return await platform.sign_in_with_oidc(provider or chosen, show, port=redirect_port)
    raise SpinError("INVALID_ARGUMENT", f"{kind!r} is not a way to sign in")


def _signed_in(command: Command, fields: dict[str, object], who: str) -> None:
    if not settings_file().exists():
        remember(url=command.settings.url)
    command.out.done(f"Signed in to {command.settings.url} as {who}.", {"url": command.settings.url, **fields})
