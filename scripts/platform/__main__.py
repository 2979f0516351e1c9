"""`python -m scripts.platform up|demo|down|reset`: what `make up` and its relatives run."""

import argparse
import asyncio
import os
import sys

from scripts.platform import lifetime, local
from scripts.platform.settings import ROOT, SettingsInvalid, from_environment
from scripts.platform.supervisor import StartFailed
from spin_client.sdk import SpinError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.platform", description="Start, show and stop SPIN on this machine.")
    parser.add_argument("command", choices=("up", "demo", "down", "reset"))
    command = parser.parse_args().command
    try:
        settings = from_environment(os.environ, ROOT / "var" / "demo" if command == "demo" else ROOT / "var")
        match command:
            case "down":
                return lifetime.down(settings)
            case "reset":
                return lifetime.reset(settings)
            case "demo":
                return asyncio.run(local.until_stopped(local.demo(settings)))
            case _:
                return asyncio.run(local.until_stopped(local.up(settings)))
    except (SettingsInvalid, StartFailed, lifetime.AlreadyRunning, local.SampleFailed, SpinError) as problem:
        print(f"{command}: {problem}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
