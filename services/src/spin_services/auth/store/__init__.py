"""auth's state in its database: accounts, members, runtimes, approvals, policies."""

from spin_services.auth.store.accounts import Accounts
from spin_services.auth.store.approvals import Approvals
from spin_services.auth.store.members import Members
from spin_services.auth.store.policies import Policies
from spin_services.auth.store.runtimes import Runtimes

__all__ = ["Accounts", "Approvals", "Members", "Policies", "Runtimes"]
