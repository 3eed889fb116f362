"""The other side of libtorrent.rs: one torrent, seeded until standard input ends, or pulled once, from one peer where it is named.

The job is a line of JSON on standard input, the answer one on standard output.
Source: libtorrent is the reference; nothing here comes from the code under test.
"""

import json
import sys
import time

import libtorrent

PATIENCE_SECONDS = 50

job = json.loads(sys.stdin.readline())
session = libtorrent.session({
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_outgoing_utp": False,
    "enable_incoming_utp": False,
    "allow_multiple_connections_per_ip": True,
    "alert_mask": 0,
})
source = job["source"]
if "magnet" in source:
    params = libtorrent.parse_magnet_uri(source["magnet"])
else:
    params = libtorrent.add_torrent_params()
    params.ti = libtorrent.torrent_info(source["torrent"])
params.save_path = job["folder"]
torrent = session.add_torrent(params)
if "peer" in job and "torrent" in source:
    host, port = job["peer"].rsplit(":", 1)
    torrent.connect_peer((host, int(port)))

end = time.monotonic() + PATIENCE_SECONDS
while not torrent.status().is_seeding and time.monotonic() < end:
    time.sleep(0.02)
whole = torrent.status().is_seeding
if job["work"] == "pull":
    # What is whole may not be on the disk yet: releasing the files writes it.
    torrent.pause()
    torrent.flush_cache()
    session.remove_torrent(torrent)
    print(json.dumps({"whole": whole}), flush=True)
else:
    print(json.dumps({"port": session.listen_port() if whole else None}), flush=True)
    sys.stdin.read()
