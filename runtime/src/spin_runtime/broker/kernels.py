"""Which kernels are live, and which seq each has taken. (boot_id, kernel_epoch, seq) names a run once and for ever.

- Epochs count kernel starts within a boot, from 1, over all kernels; none is given twice.
- An epoch remembers in whose name programs were admitted to it, until it ends.
- A seq is taken before anything of its run happens, and is never given back: not even when the run is refused afterwards.
"""

from dataclasses import dataclass, field

from spin_runtime.broker.api import LiveKernel
from spin_runtime.broker.taint import Principal


@dataclass
class _Live:
    session_id: bytes
    name: str
    last_seq: int = 0
    principals: frozenset[Principal] = frozenset()


@dataclass
class KernelLedger:
    _last_epoch: int = 0
    _live: dict[int, _Live] = field(default_factory=dict)

    def next_epoch(self) -> int:
        """Taken, and not live yet."""
        self._last_epoch += 1
        return self._last_epoch

    def started(self, kernel_epoch: int, session_id: bytes, name: str) -> LiveKernel:
        """Programs are admitted to it from here on."""
        self._live[kernel_epoch] = _Live(session_id, name)
        return LiveKernel(kernel_epoch, session_id)

    def ended(self, kernel_epoch: int) -> str | None:
        """The kernel's name; None when it is not live."""
        live = self._live.pop(kernel_epoch, None)
        return None if live is None else live.name

    def session_of(self, kernel_epoch: int) -> bytes | None:
        live = self._live.get(kernel_epoch)
        return None if live is None else live.session_id

    def admitted(self, kernel_epoch: int, principal: Principal) -> None:
        live = self._live[kernel_epoch]
        live.principals = live.principals | {principal}

    def principals(self, kernel_epoch: int) -> frozenset[Principal]:
        """Whose code may be in the kernel; nobody's where it is not live."""
        live = self._live.get(kernel_epoch)
        return frozenset() if live is None else live.principals

    def take(self, kernel_epoch: int, seq: int) -> bool:
        """Compare and set: takes `seq` when it is above the last one."""
        live = self._live.get(kernel_epoch)
        if live is None or seq <= live.last_seq:
            return False
        live.last_seq = seq
        return True
