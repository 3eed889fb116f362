"""The other side of interop.rs: reads a job as JSON on standard input, writes its answer on standard output.

Source: PyJWT and libtorrent are the references; nothing here comes from the code under test.
"""

import base64
import hashlib
import json
import os
import sys
import tempfile

import jwt
import libtorrent
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def read_tokens(tokens):
    """Verifies each token with PyJWT under the given key; gives the claims."""
    answer = []
    for item in tokens:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(item["key"]))
        options = {"verify_aud": False}
        answer.append(jwt.decode(item["token"], key, algorithms=["EdDSA"], options=options))
    return answer


def make_tokens(job):
    """Signs claims with PyJWT; a block's nonce is varied until its hash meets the target."""
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(job["seed"]))
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    x = base64.urlsafe_b64encode(public).rstrip(b"=").decode()
    did = job["address"]
    wallet = {"iss": did, "sub": did, "user_id": "student123", "iat": 1700000000, "cnf": {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": x}}}
    transaction = {"iss": did, "aud": job["chain"], "seq": 0, "gas": 100000, "fee": 0, **job["body"]}
    tokens = {
        "wallet": jwt.encode(wallet, key, algorithm="EdDSA"),
        "transaction": jwt.encode(transaction, key, algorithm="EdDSA"),
    }
    leaf = hashlib.sha256(b"\0" + tokens["transaction"].encode()).hexdigest()
    block = {**job["block"], "tx_root": leaf, "nonce": 0}
    target = int(job["target"], 16)
    while True:
        tokens["block"] = jwt.encode(block, key, algorithm="EdDSA")
        if int(hashlib.sha256(tokens["block"].encode()).hexdigest(), 16) <= target:
            return tokens
        block["nonce"] += 1


def hash_files(files):
    """What libtorrent makes of the same files, and of our torrents and magnets."""
    answer = []
    for file in files:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, file["name"])
            with open(path, "wb") as out:
                out.write(base64.b64decode(file["content"]))
            entries = libtorrent.list_files(path)
            torrent = libtorrent.create_torrent(entries, piece_size=262144, flags=libtorrent.create_torrent.v1_only)
            libtorrent.set_piece_hashes(torrent, folder)
            theirs = libtorrent.torrent_info(torrent.generate())
        ours = libtorrent.torrent_info(libtorrent.bdecode(base64.b64decode(file["torrent"])))
        magnet = libtorrent.parse_magnet_uri(file["magnet"])
        answer.append({
            "made": str(theirs.info_hash()),
            "read": str(ours.info_hash()),
            "name": ours.name(),
            "trackers": [tracker.url for tracker in ours.trackers()],
            "magnet": str(magnet.info_hashes.v1),
            "magnet_name": magnet.name,
            "magnet_trackers": magnet.trackers,
            "magnet_peers": [f"{host}:{port}" for host, port in magnet.peers],
        })
    return answer


job = json.load(sys.stdin)
work = {"read": read_tokens, "make": make_tokens, "hash": hash_files}[job["work"]]
json.dump(work(job["input"]), sys.stdout)
