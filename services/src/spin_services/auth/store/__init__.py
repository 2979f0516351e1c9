"""auth's state in its database: accounts, members, runtimes."""

from spin_services.auth.store.accounts import Accounts
from spin_services.auth.store.members import Members
from spin_services.auth.store.runtimes import Runtimes

__all__ = ["Accounts", "Members", "Runtimes"]
