"""audit's own settings. Rules: see spin_services.environment."""

from collections.abc import Mapping
from dataclasses import dataclass

from spin_services.environment import reading

DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class Settings:
    # Bodies of outputs are deleted this long after audit last heard of their run; receipts and proofs stay.
    output_retention_days: int = 90
    # How long a run may be silent before its end counts as missing. A program may wait 300 s for delivery.
    end_grace_s: int = 900
    # How often the two above are looked at.
    sweep_s: int = 30

    @property
    def output_retention_ms(self) -> int:
        return self.output_retention_days * DAY_MS


def from_environment(values: Mapping[str, str]) -> Settings:
    """Raises SettingsInvalid with every fault."""
    with reading(values) as env:
        return Settings(
            output_retention_days=env.integer("SPIN_OUTPUT_RETENTION_DAYS", 90, 1, 36500),
            end_grace_s=env.integer("SPIN_END_GRACE_S", 900, 1, 604800),
            sweep_s=env.integer("SPIN_AUDIT_SWEEP_S", 30, 1, 3600),
        )
