"""External secret managers: values of credentials that stay in the customer's own vault, read with the runtime's own identity.

- Whoever operates the runtime lists managers and paths (`configuration`); what is not listed is refused (`permission`).
- A connection names manager, path and key for a field (`references`). It is resolved when an operation runs, and kept for its lease (`leases`).
- One file per kind of manager, over the vendor's own SDK, which is imported when it is first used. Nothing is written to disk or to a log.
"""
