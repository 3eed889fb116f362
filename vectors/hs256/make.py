#!/usr/bin/env python3
"""Makes blocks.txt, a chain of HS256 JWT blocks, and blocks.json, what it holds.

Nothing but the standard library: the tokens are put together by hand from RFC 7515, so that the vectors come neither from the code that
they test nor from the library that it uses. The output is the same on every run.
"""

import base64
import hashlib
import hmac
import json
import pathlib

SECRET = b"blackboard"
DIFFICULTY = 4

REGISTER = {
    "action": "register_student",
    "student": {"id": "S001", "name": "John Doe", "department": "Computer Science"},
}
COURSE = {"type": "course_management", "course_id": 1, "action": "add", "course_info": 100}
UMLAUT = {"action": "add_course", "course": {"id": "C1", "title": "Größenlehre 数学"}}

# transaction_data in each shape that is read, and the bodies that it stands for.
BLOCKS = [
    ([], []),
    ({"actions": [REGISTER]}, [{"actions": [REGISTER]}]),
    (json.dumps({"contract": COURSE}), [{"contract": COURSE}]),
    (
        [{"actions": [UMLAUT, REGISTER]}, json.dumps({"contract": COURSE}, indent=1)],
        [{"actions": [UMLAUT, REGISTER]}, {"contract": COURSE}],
    ),
    (json.dumps([{"actions": [UMLAUT]}]), [{"actions": [UMLAUT]}]),
]


def encode(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def token(claims):
    header = {"alg": "HS256", "typ": "JWT"}
    parts = [encode(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims)]
    signing_input = ".".join(parts)
    mac = hmac.new(SECRET, signing_input.encode(), hashlib.sha256).digest()
    return f"{signing_input}.{encode(mac)}"


def mine(claims):
    nonce = 0
    while True:
        block = token(claims | {"nonce": nonce})
        digest = hashlib.sha256(block.encode()).hexdigest()
        if digest.startswith("0" * DIFFICULTY):
            return block, digest
        nonce += 1


def main():
    lines, expected, parent = [], [], "0" * 64
    for height, (transactions, bodies) in enumerate(BLOCKS):
        claims = {
            "prev_hash": parent,
            "timestamp": 1700000000.25 + 60 * height,
            "transaction_data": transactions,
        }
        block, parent = mine(claims)
        lines.append(block)
        expected.append({"hash": parent, "bodies": bodies})
    here = pathlib.Path(__file__).parent
    (here / "blocks.txt").write_text("".join(line + "\n" for line in lines))
    summary = {"secret": SECRET.decode(), "difficulty": DIFFICULTY, "blocks": expected}
    (here / "blocks.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n")


main()
