"""Every target by its name."""

from collections.abc import Mapping

from tests.fuzz import (
    broker_targets,
    cell_targets,
    client_targets,
    envelope_targets,
    manager_targets,
    neighbour_targets,
    runtime_targets,
    service_targets,
)
from tests.fuzz.target import Target

MODULES = (envelope_targets, broker_targets, manager_targets, runtime_targets, neighbour_targets, cell_targets, service_targets, client_targets)
TARGETS: Mapping[str, Target] = {target.name: target for module in MODULES for target in module.TARGETS}
