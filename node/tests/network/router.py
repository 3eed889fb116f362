"""A router that speaks UPnP: python3 router.py IP answers searches by multicast at IP, and says what it is asked to map.

Each line of its output is ACTION PROTOCOL EXTERNAL-PORT CLIENT:PORT. To the world it is 8.8.8.8.
"""

import re
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

here = sys.argv[1]
service = "urn:schemas-upnp-org:service:WANIPConnection:1"
arguments = {
    "GetExternalIPAddress": [],
    "AddPortMapping": [
        "NewRemoteHost", "NewExternalPort", "NewProtocol", "NewInternalPort", "NewInternalClient", "NewEnabled",
        "NewPortMappingDescription", "NewLeaseDuration",
    ],
    "DeletePortMapping": ["NewRemoteHost", "NewExternalPort", "NewProtocol"],
}


def tag(name, *parts):
    return f"<{name}>{''.join(parts)}</{name.split()[0]}>"


def action(name):
    inward = [tag("argument", tag("name", each), tag("direction", "in")) for each in arguments[name]]
    return tag("action", tag("name", name), tag("argumentList", *inward))


device = tag(
    "device",
    tag(
        "serviceList",
        tag("service", tag("serviceType", service), tag("SCPDURL", "/actions"), tag("controlURL", "/control")),
    ),
)
pages = {"/": tag("root", device), "/actions": tag("scpd", tag("actionList", *map(action, arguments)))}


class Router(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(pages[self.path])

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        name = self.headers["SOAPAction"].strip('"').partition("#")[2]
        value = dict(re.findall(r"<(New\w+)>([^<]*)</", asked))
        if name != "GetExternalIPAddress":
            client = f"{value.get('NewInternalClient', '')}:{value.get('NewInternalPort', '')}"
            print(name, value["NewProtocol"], value["NewExternalPort"], client, flush=True)
        given = tag("NewExternalIPAddress", "8.8.8.8") if name == "GetExternalIPAddress" else ""
        body = tag("s:Body", tag(f'u:{name}Response xmlns:u="{service}"', given))
        self.answer(tag('s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"', body))

    def answer(self, text):
        body = ('<?xml version="1.0"?>' + text).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http = HTTPServer((here, 0), Router)
threading.Thread(target=http.serve_forever, daemon=True).start()
searches = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
searches.bind(("", 1900))
group = socket.inet_aton("239.255.255.250") + socket.inet_aton(here)
searches.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
print("ready", flush=True)
while True:
    search, client = searches.recvfrom(4096)
    if search.startswith(b"M-SEARCH") and b"InternetGatewayDevice" in search:
        found = f"HTTP/1.1 200 OK\r\nLOCATION: http://{here}:{http.server_port}/\r\n\r\n"
        searches.sendto(found.encode(), client)
