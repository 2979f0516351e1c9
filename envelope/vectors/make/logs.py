"""The log: Merkle proofs over the eight leaves that RFC 6962's own tests use, and signed notes."""

from typing import Any

from make import material as m
from spin_envelope.base64_text import decode_base64, encode_base64
from spin_envelope.merkle import Frontier, consistency_proof, inclusion_proof, leaf_hash, node_hash, nodes_of
from spin_envelope.note import Checkpoint, origin_of, sign_note

LEAVES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]
NODE = nodes_of(HASHES)


def _roots() -> list[bytes]:
    frontier = Frontier()
    roots = [frontier.root()]
    for digest in HASHES:
        frontier.append(digest)
        roots.append(frontier.root())
    return roots


ROOTS = _roots()


def make() -> dict[str, Any]:
    sizes = range(len(LEAVES) + 1)
    return {
        "leaves": [leaf.hex() for leaf in LEAVES],
        "roots": [root.hex() for root in ROOTS],
        "inclusion": {
            "accepted": [_inclusion(f"{index}_of_{size}", index, size) for size in sizes for index in range(size)],
            "refused": _refused_inclusion(),
        },
        "consistency": {
            "accepted": [_consistency(f"{old}_to_{new}", old, new) for new in sizes for old in range(new + 1)],
            "refused": _refused_consistency(),
        },
        "notes": _notes(),
    }


def _inclusion(name: str, index: int, size: int, /, **changed: Any) -> dict[str, Any]:
    right = {"leaf_hash": HASHES[index], "index": index, "size": size, "proof": inclusion_proof(NODE, index, size), "root": ROOTS[size]}
    return {"name": name} | {key: _in_json(value) for key, value in (right | changed).items()}


def _refused_inclusion() -> list[dict[str, Any]]:
    proof = inclusion_proof(NODE, 5, 7)
    return [
        _inclusion("another_leaf", 5, 7, leaf_hash=HASHES[4]),
        _inclusion("another_root", 5, 7, root=ROOTS[8]),
        _inclusion("another_index", 5, 7, index=4),
        _inclusion("another_size", 5, 7, size=6),
        _inclusion("index_outside", 5, 7, index=7),
        _inclusion("index_negative", 5, 7, index=-1),
        _inclusion("tree_empty", 0, 1, size=0),
        _inclusion("proof_too_short", 5, 7, proof=proof[:-1]),
        _inclusion("proof_too_long", 5, 7, proof=[*proof, HASHES[0]]),
        _inclusion("proof_too_long_for_a_root_above", 5, 7, proof=[*proof, HASHES[0]], root=node_hash(HASHES[0], ROOTS[7])),
        _inclusion("inner_node_as_a_leaf", 0, 4, leaf_hash=ROOTS[2], proof=inclusion_proof(NODE, 0, 4)[1:]),
        _inclusion("hashes_cut_elsewhere", 1, 2, leaf_hash=HASHES[0][31:] + HASHES[1], proof=[HASHES[0][:31]]),
        _inclusion("proof_reversed", 5, 7, proof=proof[::-1]),
        _inclusion("proof_missing", 5, 7, proof=[]),
        _inclusion("proof_with_a_short_hash", 5, 7, proof=[proof[0][:31], *proof[1:]]),
    ]


def _consistency(name: str, old: int, new: int, /, **changed: Any) -> dict[str, Any]:
    right = {"old": old, "new": new, "old_root": ROOTS[old], "new_root": ROOTS[new], "proof": consistency_proof(NODE, old, new)}
    return {"name": name} | {key: _in_json(value) for key, value in (right | changed).items()}


def _in_json(values: object) -> object:
    if isinstance(values, bytes):
        return values.hex()
    return [_in_json(value) for value in values] if isinstance(values, list) else values


def _refused_consistency() -> list[dict[str, Any]]:
    proof = consistency_proof(NODE, 3, 7)
    return [
        _consistency("another_old_root", 3, 7, old_root=ROOTS[2]),
        _consistency("another_new_root", 3, 7, new_root=ROOTS[8]),
        _consistency("another_old_size", 3, 7, old=2),
        _consistency("another_new_size", 3, 7, new=9),
        _consistency("shrunk", 7, 7, new=3),
        _consistency("negative", 3, 7, old=-1),
        _consistency("same_size_and_another_root", 3, 3, new_root=ROOTS[4]),
        _consistency("same_size_with_a_proof", 3, 3, proof=proof),
        _consistency("from_empty_with_a_proof", 0, 7, proof=proof),
        _consistency("from_empty_with_another_root", 0, 7, old_root=ROOTS[1]),
        _consistency("proof_missing", 3, 7, proof=[]),
        _consistency("proof_missing_from_a_power_of_two", 4, 7, proof=[]),
        _consistency("proof_too_short", 3, 7, proof=proof[:-1]),
        _consistency("proof_too_long", 3, 7, proof=[*proof, HASHES[0]]),
        _consistency(
            "proof_too_long_for_roots_above",
            3,
            7,
            proof=[*proof, HASHES[0]],
            old_root=node_hash(HASHES[0], ROOTS[3]),
            new_root=node_hash(HASHES[0], ROOTS[7]),
        ),
        _consistency("proof_with_a_short_hash", 3, 7, proof=[proof[0][:31], *proof[1:]]),
    ]


def _notes() -> dict[str, Any]:
    origin = origin_of(m.WORKSPACE)
    checkpoint = Checkpoint(origin, 7, ROOTS[7])
    note = sign_note(checkpoint, m.AUDIT)
    strangers = sign_note(checkpoint, m.STRANGER).split("\n\n")[1]
    values = {"origin": origin, "size": 7, "root_hash": ROOTS[7].hex()}
    accepted = {
        "one_signature": note,
        "one_more_by_a_stranger": note + strangers,
        "one_more_under_another_name": note + strangers.replace(origin, "witness"),
    }
    return {
        "keys": [m.AUDIT.public.hex()],
        "accepted": [{"name": name, "note": text} | values for name, text in accepted.items()]
        + [
            {
                "name": "empty_log",
                "note": sign_note(Checkpoint(origin, 0, ROOTS[0]), m.AUDIT),
                "origin": origin,
                "size": 0,
                "root_hash": ROOTS[0].hex(),
            }
        ],
        "refused": [{"name": name, "note": text, "origin": origin} for name, text in _refused_notes(note, origin).items()],
    }


def _signed_text(text: str, origin: str) -> str:
    """A signed note around a text that is no checkpoint."""
    line = sign_note(Checkpoint(origin, 0, ROOTS[0]), m.AUDIT).split(" ")[-1]
    head = decode_base64(line.strip())[:4]
    return f"{text}\n— {origin} {encode_base64(head + m.AUDIT.sign(text.encode()))}\n"


def _refused_notes(note: str, origin: str) -> dict[str, str]:
    text, signature = note.split("\n\n")
    encoded = encode_base64(ROOTS[7])
    bad = _signed_text("other\n", origin).split("\n\n")[1]
    return {
        "empty": "",
        "not_signed": text + "\n",
        "signed_by_a_stranger": sign_note(Checkpoint(origin, 7, ROOTS[7]), m.STRANGER),
        "of_another_workspace": sign_note(Checkpoint(origin_of(m.RUNTIME), 7, ROOTS[7]), m.AUDIT),
        "key_name_of_another_workspace": note.replace(f"— {origin}", f"— {origin_of(m.RUNTIME)}"),
        "size_changed": note.replace("\n7\n", "\n8\n"),
        "good_and_bad_signature": note + bad,
        "signature_line_with_a_hyphen": note.replace("— ", "- "),
        "signature_not_base64": note.replace(signature[-9:-3], "!!!!!!"),
        "signature_cut_off": note[:-9] + "\n",
        "no_newline_at_the_end": note[:-1],
        "another_character_for_the_last_newline": note[:-1] + "x",
        "no_blank_line": note.replace("\n\n", "\n"),
        "carriage_returns": note.replace("\n", "\r\n"),
        "text_after_the_signature": note + "hello\n",
        "extension_line": _signed_text(f"{origin}\n7\n{encoded}\nextension\n", origin),
        "extension_line_after_an_empty_one": _signed_text(f"{origin}\n7\n{encoded}\n\nextension\n", origin),
        "root_hash_missing": _signed_text(f"{origin}\n7\n", origin),
        "root_hash_too_short": _signed_text(f"{origin}\n7\n{encode_base64(ROOTS[7][:31])}\n", origin),
        "root_hash_with_stray_bits": _signed_text(f"{origin}\n7\n{encoded[:-2]}{chr(ord(encoded[-2]) + 1)}=\n", origin),
        "size_negative": _signed_text(f"{origin}\n-7\n{encoded}\n", origin),
        "size_with_leading_zero": _signed_text(f"{origin}\n07\n{encoded}\n", origin),
        "size_too_large": _signed_text(f"{origin}\n9223372036854775808\n{encoded}\n", origin),
        "size_in_other_digits": _signed_text(f"{origin}\n٧\n{encoded}\n", origin),
        "origin_of_another_log_inside": _signed_text(f"{origin_of(m.RUNTIME)}\n7\n{encoded}\n", origin),
    }
