"""A service's own database: an SQLite file, or a schema of its own in PostgreSQL.

Rules: a service touches its own tables alone; the tables of each service hang on their own registry, because several services
share a process (`class Table(SQLModel, registry=registry()): pass`, then `class Member(Table, table=True)`); writes go through
`session()`, which on SQLite takes the write lock at its first statement, pure reads through `reading()`, which takes none. Sessions are
SQLAlchemy's AsyncSession: `scalars(select(…))`, `execute(…)`, `get(…)`.
"""

from spin_services.database.engine import Database
from spin_services.database.migrate import upgrade
from spin_services.database.notify import Notifier, notifier_for

__all__ = ["Database", "Notifier", "notifier_for", "upgrade"]
