"""secrets' own settings. Rules: see spin_services.environment."""

from collections.abc import Mapping
from dataclasses import dataclass

from spin_services.environment import reading

HOUR_MS = 3600 * 1000


@dataclass(frozen=True)
class Settings:
    # A runtime refuses a bundle that is valid for more than seven days.
    bundle_life_hours: int = 168

    @property
    def bundle_life_ms(self) -> int:
        return self.bundle_life_hours * HOUR_MS

    @property
    def renew_before_ms(self) -> int:
        """A bundle is issued anew when less than this is left of it."""
        return self.bundle_life_ms // 2


def from_environment(values: Mapping[str, str]) -> Settings:
    """Raises SettingsInvalid with every fault."""
    with reading(values) as env:
        return Settings(bundle_life_hours=env.integer("SPIN_BUNDLE_LIFE_HOURS", 168, 1, 168))
