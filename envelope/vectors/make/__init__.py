"""Makes the vectors that the Python and the TypeScript half are both tested with.

- One file per format; in each, what must be accepted and what must be refused, one failure per case and named by it.
- Keys and ids come from names, so that the files come out the same each time; HPKE's ciphertexts alone are random, and are kept.
- Bytes are in hexadecimal.
"""
