#!/usr/bin/env python3
"""Makes tokens.json: tokens that must be refused, each with the name of the error.

Nothing but the standard library: Ed25519 is written out from RFC 8032 section 5.1, so that hostile keys and signatures can be
made at will, and so that the vectors do not come from the code that they test. The output is the same on every run.
"""

import base64
import hashlib
import json
import pathlib

# Ed25519 (RFC 8032), affine and slow.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
IDENTITY = (0, 1)


def recover_x(y, sign):
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_M1 % P
    if (x * x - square) % P:
        return None
    return P - x if x % 2 != sign else x


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P
    return x, y


def times(n, point):
    out = IDENTITY
    while n:
        if n & 1:
            out = add(out, point)
        point = add(point, point)
        n >>= 1
    return out


def encode(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


BASE = (recover_x(4 * pow(5, -1, P) % P, 0), 4 * pow(5, -1, P) % P)


def torsion_point():
    """A point of order 8: some point outside the prime-order group, times L."""
    y = 2
    while True:
        x = recover_x(y, 0)
        if x is not None:
            point = times(L, (x, y))
            if times(4, point) != IDENTITY:
                return point
        y += 1


T8 = torsion_point()


def sha512(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little")


class Key:
    def __init__(self, seed):
        digest = hashlib.sha512(seed).digest()
        scalar = int.from_bytes(digest[:32], "little")
        self.scalar = (scalar & ~7 & (1 << 255) - 1) % (1 << 254) | 1 << 254
        self.prefix = digest[32:]
        self.public = encode(times(self.scalar, BASE))

    def sign(self, message, public=None, shift=IDENTITY):
        """Signs; `public` stands in for the key in the challenge, `shift` is added to R."""
        r = sha512(self.prefix, message) % L
        point = encode(add(times(r, BASE), shift))
        k = sha512(point, public or self.public, message) % L
        return point + ((r + k * self.scalar) % L).to_bytes(32, "little")


ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def did(public, codec=b"\xed\x01"):
    n = int.from_bytes(codec + public, "big")
    text = ""
    while n:
        n, digit = divmod(n, 58)
        text = ALPHABET[digit] + text
    return "did:key:z" + text


def b64(content):
    content = content if isinstance(content, bytes) else content.encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


KEY, OTHER = Key(b"\x07" * 32), Key(b"\x08" * 32)
DID = did(KEY.public)
HEADER = '{"alg":"EdDSA","typ":"JWT"}'
ACTION = '{"action":"register_student","student":{"id":"S001","name":"John Doe","department":"Computer Science"}}'
TX = {"iss": json.dumps(DID), "aud": '"dev"', "seq": "0", "gas": "100000", "fee": "0", "actions": f"[{ACTION}]"}
JWK = '{"kty":"OKP","crv":"Ed25519","x":"%s"}' % b64(KEY.public)
WALLET = {"iss": json.dumps(DID), "sub": json.dumps(DID), "user_id": '"student123"', "iat": "1700000000", "cnf": '{"jwk":%s}' % JWK}
ZEROS = '"' + "0" * 64 + '"'
BLOCK = {
    "iss": json.dumps(DID), "aud": '"dev"', "index": "1", "prev_hash": ZEROS, "timestamp": "1795305602000", "bits": '"1f100000"',
    "tx_root": ZEROS, "state_root": ZEROS, "nonce": "0",
}
CASES = []


def claims(base, changes=(), without=(), more=""):
    members = {**base, **dict(changes)}
    body = ",".join(f'"{name}":{value}' for name, value in members.items() if name not in without)
    return "{" + body + more + "}"


def token(payload, header=HEADER, key=KEY):
    text = b64(header) + "." + b64(payload)
    return text + "." + b64(key.sign(text.encode()))


def case(name, kind, text, error):
    CASES.append({"name": name, "kind": kind, "token": text, "error": error})


def tx(name, error, changes=(), without=(), more="", header=HEADER):
    case(name, "transaction", token(claims(TX, changes, without, more), header), error)


def shapes():
    good = token(claims(TX))
    header, payload, signature = good.split(".")
    spaced = b64('{"alg":"EdDSA" }')
    # Two more bytes of claims leave trailing bits to spoil; "?" and ">" bring "_" and "-" into the encoding.
    uneven = next(t for t in (token(claims(TX, [("actions", '[{"action":"%s???>>>"}]' % ("x" * n))])) for n in range(9)) if len(t.split(".")[1]) % 4 == 2)
    odd = uneven.split(".")[1]
    digit = lambda text, n: text[:-1] + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[n]
    for name, text, error in [
        ("empty text", "", "token_parts"),
        ("one part", header, "token_parts"),
        ("two parts", f"{header}.{payload}", "token_parts"),
        ("four parts", good + ".", "token_parts"),
        ("five parts, as an encrypted token has", f"{good}.a.b", "token_parts"),
        ("header padded", f"{spaced}==.{payload}.{signature}", "header_encoding"),
        ("claims padded", f"{header}.{odd}==.{signature}", "claims_encoding"),
        ("signature padded", good + "==", "signature_encoding"),
        ("space before", " " + good, "header_encoding"),
        ("line feed after", good + "\n", "signature_encoding"),
        ("space in the claims", f"{header}.{payload[:8]} {payload[8:]}.{signature}", "claims_encoding"),
        ("line feed in the claims", f"{header}.{payload[:8]}\n{payload[8:]}.{signature}", "claims_encoding"),
        ("the other base64 alphabet", f"{header}.{odd.replace('-', '+').replace('_', '/')}.{signature}", "claims_encoding"),
        ("trailing bits in the header", f"{digit(spaced, 1)}.{payload}.{signature}", "header_encoding"),
        ("trailing bits in the claims", f"{header}.{digit(odd, 1)}.{signature}", "claims_encoding"),
        ("trailing bits in the signature", digit(good, 1), "signature_encoding"),
        ("a lone base64 digit", f"{header}.{payload[:-3]}.{signature}" if len(payload) % 4 == 0 else f"{header}.{payload}AAA"[: len(header) + 1 + len(payload) // 4 * 4 + 1] + "." + signature, "claims_encoding"),
        ("a block line's separator in the claims", f"{header}.{payload[:8]}~{payload[9:]}.{signature}", "claims_encoding"),
        ("NUL before", "\0" + good, "header_encoding"),
        ("a letter that is not ASCII", f"{header}.{payload[:8]}é{payload[9:]}.{signature}", "claims_encoding"),
        ("signature of 63 bytes", good[:-2], "signature_length"),
        ("signature of 65 bytes", f"{header}.{payload}.{b64(bytes(65))}", "signature_length"),
        ("no signature", f"{header}.{payload}.", "signature_length"),
    ]:
        case(name, "transaction", text, error)


def headers():
    for name, header, error in [
        ("alg none, signed", '{"alg":"none","typ":"JWT"}', "algorithm"),
        ("alg nOnE", '{"alg":"nOnE"}', "algorithm"),
        ("alg RS256", '{"alg":"RS256","typ":"JWT"}', "algorithm"),
        ("alg ES256", '{"alg":"ES256","typ":"JWT"}', "algorithm"),
        ("alg Ed25519, the name of RFC 9864", '{"alg":"Ed25519","typ":"JWT"}', "algorithm"),
        ("alg eddsa", '{"alg":"eddsa","typ":"JWT"}', "algorithm"),
        ("alg a number", '{"alg":1}', "algorithm"),
        ("alg null", '{"alg":null}', "algorithm"),
        ("alg a list", '{"alg":["EdDSA"]}', "nesting_depth"),
        ("no alg", '{"typ":"JWT"}', "algorithm"),
        ("no member", "{}", "algorithm"),
        ("typ jwt", '{"alg":"EdDSA","typ":"jwt"}', "header_type"),
        ("typ at+jwt", '{"alg":"EdDSA","typ":"at+jwt"}', "header_type"),
        ("kid", '{"alg":"EdDSA","kid":"1"}', "header_member"),
        ("jwk", '{"alg":"EdDSA","jwk":"x"}', "header_member"),
        ("jku", '{"alg":"EdDSA","jku":"https://example.org/keys"}', "header_member"),
        ("x5u", '{"alg":"EdDSA","x5u":"https://example.org/cert"}', "header_member"),
        ("crit", '{"alg":"EdDSA","crit":"exp"}', "header_member"),
        ("b64 false", '{"alg":"EdDSA","b64":false}', "header_member"),
        ("zip", '{"alg":"EdDSA","zip":"DEF"}', "header_member"),
        ("cty", '{"alg":"EdDSA","cty":"JWT"}', "header_member"),
        ("member with an empty name", '{"alg":"EdDSA","":1}', "header_member"),
        ("alg twice", '{"alg":"EdDSA","alg":"none"}', "duplicate_member"),
        ("alg twice, once escaped", '{"alg":"EdDSA","\\u0061lg":"EdDSA"}', "duplicate_member"),
        ("header an array", '["EdDSA"]', "header_text"),
        ("header not JSON", "alg=EdDSA", "json_syntax"),
        ("header empty", "", "json_syntax"),
        ("header with a byte order mark", "\ufeff" + HEADER, "json_syntax"),
        ("header not UTF-8", b'{"alg":"EdDSA\xff"}', "header_text"),
    ]:
        tx("header: " + name, error, header=header)
    text = b64('{"alg":"none","typ":"JWT"}') + "." + b64(claims(TX)) + "."
    case("header: alg none, not signed", "transaction", text, "algorithm")
    text = b64('{"alg":"HS256","typ":"JWT"}') + "." + b64(claims(TX))
    import hmac

    mac = hmac.new(KEY.public, text.encode(), "sha256").digest()
    case("header: alg HS256 with the public key as the secret", "transaction", f"{text}.{b64(mac)}", "algorithm")


def signatures():
    text = b64(HEADER) + "." + b64(claims(TX))
    good = KEY.sign(text.encode())
    point, scalar = good[:32], int.from_bytes(good[32:], "little")
    little = lambda n: n.to_bytes(32, "little")
    for name, signature, error in [
        ("a bit of R flipped", bytes([good[0] ^ 1]) + good[1:], "signature"),
        ("a bit of S flipped", good[:32] + bytes([good[32] ^ 1]) + good[33:], "signature"),
        ("all zero", bytes(64), "signature_small_order"),
        ("S + L", point + little(scalar + L), "signature_scalar"),
        ("S = L", point + little(L), "signature_scalar"),
        ("S all ones", point + b"\xff" * 32, "signature_scalar"),
        ("R the identity", little(1) + good[32:], "signature_small_order"),
        ("R of order 8", encode(T8) + good[32:], "signature_small_order"),
        ("R with y = p + 1", little(P + 1) + good[32:], "signature_point"),
        ("R the identity with the sign of zero set", little(1 | 1 << 255) + good[32:], "signature_point"),
        ("R shifted by a point of order 8", KEY.sign(text.encode(), shift=T8), "signature"),
        ("R shifted by a point of order 2", KEY.sign(text.encode(), shift=times(4, T8)), "signature"),
        ("another key", OTHER.sign(text.encode()), "signature"),
        ("of other claims", KEY.sign(text.encode() + b"A"), "signature"),
    ]:
        case("signature: " + name, "transaction", f"{text}.{b64(signature)}", error)
    swapped = token(claims(TX, [("seq", "1")])).split(".")
    case("signature: the claims exchanged", "transaction", ".".join([swapped[0], b64(claims(TX)), swapped[2]]), "signature")


def keys():
    mixed = encode(add(times(KEY.scalar, BASE), T8))
    r = times(5, BASE)
    for name, public, error in [
        ("the identity", (1).to_bytes(32, "little"), "key_small_order"),
        ("of order 2", encode(times(4, T8)), "key_small_order"),
        ("of order 4", encode(times(2, T8)), "key_small_order"),
        ("of order 8", encode(T8), "key_small_order"),
        ("with y = p", P.to_bytes(32, "little"), "key_encoding"),
        ("with y = p + 1", (P + 1).to_bytes(32, "little"), "key_encoding"),
        ("no point: y = 2", (2).to_bytes(32, "little"), "key_encoding"),
        ("all ones", b"\xff" * 32, "key_encoding"),
    ]:
        # S = 5, R = 5·B: right for the identity, and for any small order where the challenge is a multiple of it.
        payload = claims(TX, [("iss", json.dumps(did(public)))])
        case("key: " + name, "transaction", f"{b64(HEADER)}.{b64(payload)}.{b64(encode(r) + (5).to_bytes(32, 'little'))}", error)
    # The torsion cancels where the challenge is a multiple of 8: take claims where it is not.
    for seq in range(64):
        payload = claims(TX, [("iss", json.dumps(did(mixed))), ("seq", str(seq))])
        text = b64(HEADER) + "." + b64(payload)
        signature = KEY.sign(text.encode(), public=mixed)
        if sha512(signature[:32], mixed, text.encode()) % L % 8:
            break
    case("key: shifted by a point of order 8", "transaction", f"{text}.{b64(signature)}", "signature")


def transactions():
    deep = lambda n: [("actions", '[{"action":"a","x":' + "[" * n + "]" * n + "}]")]
    tx("claims not UTF-8", "claims_text")
    CASES[-1]["token"] = token(claims(TX).encode().replace(b"John", b"Jo\xffn"))
    for name, payload, error in [
        ("an array", "[]", "claims_not_object"),
        ("a text", '"iss"', "claims_not_object"),
        ("null", "null", "claims_not_object"),
        ("empty", "", "json_syntax"),
        ("not JSON", "{iss:1}", "json_syntax"),
        ("with text after", claims(TX) + "x", "json_syntax"),
        ("with a second object after", claims(TX) + "{}", "json_syntax"),
        ("with a trailing comma", claims(TX, more=","), "json_syntax"),
        ("with a comment", claims(TX, more="/**/"), "json_syntax"),
    ]:
        case("claims " + name, "transaction", token(payload), error)
    for name, error, changes, without, more in [
        ("seq twice", "duplicate_member", [], [], ',"seq":0'),
        ("seq twice, once escaped", "duplicate_member", [], [], ',"\\u0073eq":0'),
        ("a member twice in an action", "duplicate_member", [("actions", '[{"action":"a","action":"b"}]')], [], ""),
        ("seq 0.0", "float", [("seq", "0.0")], [], ""),
        ("gas 1e5", "float", [("gas", "1e5")], [], ""),
        ("seq -0", "float", [("seq", "-0")], [], ""),
        ("a float in an action", "float", [("actions", '[{"action":"a","x":0.5}]')], [], ""),
        ("seq of 30 digits", "float", [("seq", "1" + "0" * 29)], [], ""),
        ("seq 2^53", "integer_range", [("seq", str(2**53))], [], ""),
        ("fee 2^64 - 1", "integer_range", [("fee", str(2**64 - 1))], [], ""),
        ("-2^53 in an action", "integer_range", [("actions", '[{"action":"a","x":-9007199254740992}]')], [], ""),
        ("seq -1", "claim", [("seq", "-1")], [], ""),
        ("seq a text", "claim", [("seq", '"0"')], [], ""),
        ("seq null", "claim", [("seq", "null")], [], ""),
        ("seq 00", "json_syntax", [("seq", "00")], [], ""),
        ("seq NaN", "json_syntax", [("seq", "NaN")], [], ""),
        ("iss not a DID", "claim", [("iss", '"student123"')], [], ""),
        ("iss a did:web", "claim", [("iss", '"did:web:example.org"')], [], ""),
        ("iss a secp256k1 key", "claim", [("iss", json.dumps(did(b"\x02" + bytes(32), b"\xe7\x01")))], [], ""),
        ("iss an X25519 key", "claim", [("iss", json.dumps(did(KEY.public, b"\xec\x01")))], [], ""),
        ("iss with white space", "claim", [("iss", json.dumps(DID + " "))], [], ""),
        ("iss a number", "claim", [("iss", "1")], [], ""),
        ("aud another chain", "wrong_chain", [("aud", '"public"')], [], ""),
        ("aud in capitals", "wrong_chain", [("aud", '"DEV"')], [], ""),
        ("aud a list", "claim", [("aud", '["dev"]')], [], ""),
        ("gas above a block's", "gas", [("gas", "50000001")], [], ""),
        ("no body", "no_body", [], ["actions"], ""),
        ("two bodies", "two_bodies", [], [], ',"contract":{}'),
        ("no action", "action_count", [("actions", "[]")], [], ""),
        ("17 actions", "action_count", [("actions", "[" + ",".join(["{}"] * 17) + "]")], [], ""),
        ("an action that is a text", "action_type", [("actions", '["register_student"]')], [], ""),
        ("actions an object", "action_type", [("actions", ACTION)], [], ""),
        ("contract an array", "action_type", [], ["actions"], ',"contract":[]'),
        ("16 levels below the claims", "nesting_depth", deep(14), [], ""),
        ("20 000 levels", "nesting_depth", deep(20_000), [], ""),
        ("half a surrogate pair", "json_syntax", [("actions", '[{"action":"\\ud800"}]')], [], ""),
        ("a raw control character", "json_syntax", [("actions", '[{"action":"\x01"}]')], [], ""),
    ] + [(f"without {name}", "missing_claim", [], [name], "") for name in ("iss", "aud", "seq", "gas", "fee")] + [
        (f"with {name}", "unknown_claim", [], [], f',"{name}":1') for name in ("exp", "nbf", "iat", "jti", "SEQ", "")
    ]:
        tx(name, error, changes, without, more)
    case("a wallet sent as a transaction", "transaction", token(claims(WALLET)), "missing_claim")
    case("a block sent as a transaction", "transaction", token(claims(BLOCK)), "missing_claim")


def wallets():
    jwk = lambda **changes: [("cnf", json.dumps({"jwk": {**json.loads(JWK), **changes}}))]
    for name, error, changes, without, more, key in [
        ("exp", "wallet_expires", [], [], ',"exp":9999999999', KEY),
        ("exp null", "wallet_expires", [], [], ',"exp":null', KEY),
        ("sub another key", "wallet_subject", [("sub", json.dumps(did(OTHER.public)))], [], "", KEY),
        ("no user_id", "missing_claim", [], ["user_id"], "", KEY),
        ("user_id empty", "claim", [("user_id", '""')], [], "", KEY),
        ("user_id of 65 bytes", "claim", [("user_id", '"' + "a" * 65 + '"')], [], "", KEY),
        ("user_id with a slash", "claim", [("user_id", '"a/b"')], [], "", KEY),
        ("user_id with a space", "claim", [("user_id", '"a b"')], [], "", KEY),
        ("user_id with a control character", "claim", [("user_id", '"a\\u0000"')], [], "", KEY),
        ("iat a float", "float", [("iat", "1.5")], [], "", KEY),
        ("iat negative", "claim", [("iat", "-1")], [], "", KEY),
        ("no cnf", "missing_claim", [], ["cnf"], "", KEY),
        ("cnf a text", "claim", [("cnf", '"key"')], [], "", KEY),
        ("cnf another key", "wallet_key", jwk(x=b64(OTHER.public)), [], "", KEY),
        ("cnf an elliptic curve key", "wallet_key", jwk(kty="EC"), [], "", KEY),
        ("cnf another curve", "wallet_key", jwk(crv="X25519"), [], "", KEY),
        ("cnf key padded", "wallet_key", jwk(x=b64(KEY.public) + "="), [], "", KEY),
        ("an unknown claim that is nested too deep", "nesting_depth", [("x", "[" * 16 + "]" * 16)], [], "", KEY),
        ("signed by another key", "signature", [], [], "", OTHER),
    ]:
        case("wallet: " + name, "wallet", token(claims(WALLET, changes, without, more), key=key), error)
    case("wallet: a transaction sent as a wallet", "wallet", token(claims(TX)), "missing_claim")


def blocks():
    for name, error, changes, without, more in [
        ("prev_hash in capitals", "claim", [("prev_hash", '"' + "A" * 64 + '"')], [], ""),
        ("prev_hash of 63 digits", "claim", [("prev_hash", '"' + "0" * 63 + '"')], [], ""),
        ("tx_root a number", "claim", [("tx_root", "0")], [], ""),
        ("state_root with 0x", "claim", [("state_root", '"0x' + "0" * 62 + '"')], [], ""),
        ("bits of 7 digits", "claim", [("bits", '"1f10000"')], [], ""),
        ("bits a number", "claim", [("bits", "521142272")], [], ""),
        ("bits negative", "claim", [("bits", '"1f900000"')], [], ""),
        ("bits zero", "claim", [("bits", '"1f000000"')], [], ""),
        ("bits beyond 256 bits", "claim", [("bits", '"ff100000"')], [], ""),
        ("segment null", "claim", [("segment", "null")], [], ""),
        ("segment of 39 digits", "claim", [("segment", '"' + "0" * 39 + '"')], [], ""),
        ("index negative", "claim", [("index", "-1")], [], ""),
        ("index 2^53", "integer_range", [("index", str(2**53))], [], ""),
        ("timestamp a float", "float", [("timestamp", "1795305602000.0")], [], ""),
        ("nonce a text", "claim", [("nonce", '"0"')], [], ""),
        ("without nonce", "missing_claim", [], ["nonce"], ""),
        ("with exp", "unknown_claim", [], [], ',"exp":1'),
        ("aud another chain", "wrong_chain", [("aud", '"public"')], [], ""),
        ("nonce twice", "duplicate_member", [], [], ',"nonce":1'),
    ]:
        case("block: " + name, "block", token(claims(BLOCK, changes, without, more)), error)
    case("block: signed by another key", "block", token(claims(BLOCK), key=OTHER), "signature")
    case("block: a transaction sent as a block", "block", token(claims(TX)), "missing_claim")


for make in (shapes, headers, signatures, keys, transactions, wallets, blocks):
    make()
assert len({c["name"] for c in CASES}) == len(CASES), "names are distinct"
lines = ",\n".join(json.dumps(c) for c in CASES)
good = {"transaction": token(claims(TX)), "wallet": token(claims(WALLET)), "block": token(claims(BLOCK))}
text = '{"accepted":%s,\n"refused":[\n%s\n]}\n' % (json.dumps(good), lines)
pathlib.Path(__file__).with_name("tokens.json").write_text(text)
print(len(CASES), "tokens")
