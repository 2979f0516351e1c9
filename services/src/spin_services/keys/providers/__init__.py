"""Where the key-encryption key is: one file for each kind of place, chosen by the scheme of SPIN_KEK.

Rules: a provider wraps and unwraps and never gives the KEK away; `aad` names what is wrapped and must be the same both times, wherever
the key is; vendors' SDKs are imported by the provider that needs them; every failure is KeysUnusable with the key's name and what to do.
"""

from spin_services.keys.providers.addresses import open_provider
from spin_services.keys.providers.interface import KekProvider

__all__ = ["KekProvider", "open_provider"]
