"""What people who keep the root should hear before it is too late. Pure: time is an argument."""

from datetime import UTC, datetime

from spin_envelope.root import Proposal, TrustedRoot

ENDS_SOON_MS = 90 * 24 * 3600 * 1000
LOST = (
    "Where so many of the old root's keys are lost that its threshold is out of reach, no document can follow: the keys stay as they are until the "
    "document expires, and the way on is an installation with new keys (docs/sign-in.md, The root, off-line)."
)


def warnings_of(root: TrustedRoot, now_ms: int) -> list[str]:
    """Of the document in force."""
    return _end(f"root document {root.version}", root.expires_at_ms, now_ms)


def proposal_warnings(proposal: Proposal, now_ms: int) -> list[str]:
    return _end(f"the proposed root document {proposal.document.version}", proposal.document.expires_at_ms, now_ms)


def cautions(keys: int, threshold: int) -> list[str]:
    """Of a choice of root keys."""
    if keys == 1:
        return ["caution: there is one root key: when it is lost, no document can follow this one; when it is stolen, the thief is the root"]
    if threshold == keys:
        return [
            f"caution: each of the {keys} root keys must sign: when one is lost, no document can follow this one. Take one key more than must sign"
        ]
    return []


def _end(name: str, expires_at_ms: int, now_ms: int) -> list[str]:
    day = datetime.fromtimestamp(expires_at_ms / 1000, UTC).strftime("%Y-%m-%d")
    if now_ms >= expires_at_ms:
        return [f"warning: {name} expired on {day}: nothing is believed until a newer one is in force"]
    if expires_at_ms - now_ms < ENDS_SOON_MS:
        return [f"warning: {name} expires on {day}, and nothing is believed after that: propose the next one now"]
    return []
