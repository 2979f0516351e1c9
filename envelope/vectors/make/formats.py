"""Encodings and digests: PAE, cells, parameters, pairing tokens, output chains."""

import base64
from hashlib import sha256
from typing import Any

from make import material
from spin_envelope.chain import OutputChain
from spin_envelope.digests import canonical_json, pae, params_digest, read_json, source_digest
from spin_envelope.pairing import PREFIX, SpinToken

CELLS = [
    ("python", "print('hello')\n", "{}"),
    ("sql", "select * from tröge where näme = {{name}}", '{ "limit": 1e2, "dialect" : "duckdb" }'),
    ("markdown", "", '{"b": [1, 2.5, null, true], "a": {"\u20ac": "x", "\\r": "y"}}'),
]


def make() -> dict[str, Any]:
    return {
        "pae": [
            _pae("http://example.com/HelloWorld", b"hello world"),
            _pae("", b""),
            _pae("tüpe", bytes(range(256))),
        ],
        "cells": [
            {"cell_type": kind, "source": source, "fields_json": fields, "digest": source_digest(kind, source, fields).hex()}
            for kind, source, fields in CELLS
        ],
        "params": [
            {"json": text, "canonical": canonical_json(read_json(text)).decode(), "digest": params_digest(read_json(text)).hex()}
            for text in ('{"url": "https://example.com/", "n": 10.0}', "{}", '{"z": [], "a": {"c": -0.0, "b": "\\u000f\\/"}}')
        ],
        "json_refused": [
            {"name": "name_twice", "json": '{"a": 1, "a": 1}'},
            {"name": "integer_too_large", "json": '{"a": 9007199254740993}'},
            {"name": "not_a_number", "json": '{"a": NaN}'},
            {"name": "lone_surrogate", "json": '{"a": "\\ud800"}'},
            {"name": "not_json", "json": "{"},
        ],
        "token": _token(),
        "chain": _chain(),
    }


def _pae(kind: str, payload: bytes) -> dict[str, str]:
    return {"payload_type": kind, "payload": payload.hex(), "pae": pae(kind, payload).hex()}


def _token() -> dict[str, Any]:
    token = SpinToken.mint(material.WORKSPACE, material.identifier("pairing"), material.seed("secret"), material.seed("root digest"))
    return {
        "accepted": [
            {
                "text": token.text,
                "workspace_id": token.workspace_id.hex(),
                "pairing_id": token.pairing_id.hex(),
                "secret": token.secret.hex(),
                "root_digest": token.root_digest.hex(),
                "pairing_key": token.pairing_key().public.hex(),
                "disk_key": token.disk_key().hex(),
            }
        ],
        "refused": [{"name": name, "text": text} for name, text in _refused_tokens(token.text).items()],
    }


def _refused_tokens(text: str) -> dict[str, str]:
    body = base64.urlsafe_b64decode(text.removeprefix(PREFIX) + "==")
    wrong = body[:96] + sha256(b"spin/token/v2" + body[:96]).digest()[:4]
    return {
        "a_word": "changeme",
        "empty": "",
        "only_the_prefix": PREFIX,
        "other_prefix": "spin2." + text.removeprefix(PREFIX),
        "cut_off": text[:-1],
        "something_added": text + "A",
        "with_padding": text + "==",
        "with_line_break": text + "\n",
        "one_character_changed": text[:20] + ("A" if text[20] != "A" else "B") + text[21:],
        "character_outside_the_alphabet": text[:20] + "+" + text[21:],
        "letter_outside_ascii": text[:20] + "é" + text[21:],
        "checksum_of_another_domain": PREFIX + base64.urlsafe_b64encode(wrong).decode().rstrip("="),
        "stray_bits": text[:-1] + _with_stray_bits(text[-1]),
    }


def _with_stray_bits(last: str) -> str:
    """The last character carries four bits that mean nothing and must be zero."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(last) | 1]


def _chain() -> list[dict[str, Any]]:
    chain, links = OutputChain(), []
    for kind, body in [(1, b"hello\n"), (3, b""), (2, bytes(range(256)) * 5), (255, b"x")]:
        chain.append(kind, body)
        links.append({"kind": kind, "body": body.hex(), "frames": chain.frames, "digest": chain.digest.hex()})
    return links
