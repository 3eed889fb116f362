"""A name server at 127.0.0.1:53 that knows one name: python3 names.py NAME TEXT answers the TXT records of NAME, and knows no other."""

import socket
import sys

name, text = sys.argv[1].encode(), sys.argv[2].encode()
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
print("ready", flush=True)
while True:
    query, client = server.recvfrom(4096)
    end, labels = 12, []
    while query[end]:
        labels.append(query[end + 1 : end + 1 + query[end]])
        end += 1 + query[end]
    question = query[12 : end + 5]
    is_known = b".".join(labels).lower() == name and query[end + 1 : end + 3] == b"\0\x10"
    answer = b""
    if is_known:
        data = bytes([len(text)]) + text
        answer = b"\xc0\x0c\0\x10\0\x01\0\0\0\x3c" + len(data).to_bytes(2, "big") + data
    flags = b"\x84\0" if is_known else b"\x84\x03"
    counts = b"\0\x01" + (b"\0\x01" if is_known else b"\0\0") + b"\0\0\0\0"
    server.sendto(query[:2] + flags + counts + question + answer, client)
