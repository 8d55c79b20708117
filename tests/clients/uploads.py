"""Files shared over HTTP (XEP-0363); `anna` and `ben` have accounts."""

import asyncio
import http.client
import socket
import ssl
import urllib.parse

from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0363 import FileTooBig
from perch_client import DEADLINE, Client, check, main

# More than one read of the server, and no text.
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 1024


class Uploader(Client):
    """A client that finds the service by itself, and speaks HTTPS with the server's certificate checked."""

    def __init__(self, settings, name):
        super().__init__(settings, name, settings[name])
        for plugin in ("xep_0066", "xep_0363"):
            self.register_plugin(plugin)

    async def slot(self, size, name="a picture.png", kind="image/png"):
        upload = self.plugin["xep_0363"]
        found = await upload.find_upload_service(timeout=DEADLINE)
        check(found is not None, "the upload service is not found by discovery")
        answer = await upload.request_slot(found["from"], name, size, kind, timeout=DEADLINE)
        slot = answer["http_upload_slot"]
        headers = {header["name"]: header["value"] for header in slot["put"]["headers"]}
        return slot["put"]["url"], headers, slot["get"]["url"]

    def http(self, method, url, body=None, headers=None):
        """One request, at the test's address whatever the name in `url`, and its response."""
        parts = urllib.parse.urlsplit(url)
        check(parts.hostname == self.settings["domain"], f"{url} is not the server's")
        context = ssl.create_default_context(cafile=self.settings["ca"])
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=DEADLINE)
        plain = socket.create_connection(("127.0.0.1", self.settings["https"]), DEADLINE)
        connection.sock = context.wrap_socket(plain, server_hostname=parts.hostname)
        try:
            connection.request(method, parts.path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()


async def a_file_is_shared(settings):
    anna, ben = Uploader(settings, "anna"), Uploader(settings, "ben")
    await anna.log_in()
    await ben.log_in()
    put, headers, get = await anna.slot(len(PICTURE))
    status, _, said = anna.http("PUT", put, PICTURE, {**headers, "Content-Type": "image/png"})
    check(status == 201, f"PUT: {status} {said}")
    message = anna.make_message(mto=ben.boundjid.bare, mbody=get, mtype="chat")
    message["oob"]["url"] = get
    message.send()
    received = await ben.expect_message(get)
    status, headers, body = ben.http("GET", received["oob"]["url"])
    check(status == 200 and body == PICTURE, f"GET: {status}, {len(body)} bytes")
    check(headers["Content-Type"] == "image/png", f"the type is {headers['Content-Type']}")
    status, headers, body = ben.http("GET", get, headers={"Range": "bytes=1000-1999"})
    check(status == 206 and body == PICTURE[1000:2000], f"range: {status}, {len(body)} bytes")
    service = (await anna.plugin["xep_0363"].find_upload_service(timeout=DEADLINE))["from"]
    try:
        await anna.plugin["xep_0363"].request_slot(service, "big", 10 ** 12, "video/mp4", timeout=DEADLINE)
    except (IqError, FileTooBig) as refused:
        if isinstance(refused, IqError):
            check(refused.condition == "not-acceptable", f"refused with {refused.condition}")
    else:
        raise AssertionError("a file of a terabyte was given a slot")
    await anna.log_out()
    await ben.log_out()


if __name__ == "__main__":
    main({name: function for name, function in globals().items() if asyncio.iscoroutinefunction(function)})
