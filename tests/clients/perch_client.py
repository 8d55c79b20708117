"""An unmodified slixmpp client with what the conversations share: log in, expect, give up after a deadline."""

import asyncio
import inspect
import json
import logging
import pathlib
import ssl
import sys
import uuid

import slixmpp

# Emulated machines are slow; nothing here waits this long on a healthy one.
DEADLINE = 120

PLUGINS = ["xep_0030", "xep_0054", "xep_0059", "xep_0191", "xep_0199", "xep_0280", "xep_0297", "xep_0313"]


class Refused(Exception):
    """The server, or this client's own check of it, ended the login."""


class Client(slixmpp.ClientXMPP):
    """`settings`: the script's argument. `direct`: direct TLS instead of STARTTLS."""

    def __init__(self, settings, name, password, *, resource=None, direct=False, mechanism=None,
                 stream_management=False, ca=None):
        jid = f"{name}@{settings['domain']}" + (f"/{resource}" if resource else "")
        super().__init__(jid, password, sasl_mech=mechanism)
        self.settings = settings
        self.direct = direct
        self.enable_direct_tls = direct
        self.enable_starttls = not direct
        self.enable_plaintext = False
        self.ca_certs = pathlib.Path(ca or settings["ca"])
        # Contacts are accepted by the conversations, not by the library.
        self.roster.auto_authorize = None
        self.roster.auto_subscribe = False
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        if stream_management:
            self.register_plugin("xep_0198", {"window": 1})
        self.inbox = asyncio.Queue()
        self.add_event_handler("message", self.inbox.put_nowait)
        self.presences = asyncio.Queue()
        self.add_event_handler("presence", self.presences.put_nowait)

    @property
    def address(self):
        """Where this client connects."""
        port = self.settings["direct_tls" if self.direct else "starttls"]
        return self.settings.get("address", "127.0.0.1"), port

    async def log_in(self, *, presence=True):
        """Returns when the session is bound; the roster is fetched and presence sent unless told otherwise."""
        started = asyncio.get_running_loop().create_future()

        def settle(result):
            if not started.done():
                if isinstance(result, Exception):
                    started.set_exception(result)
                else:
                    started.set_result(result)

        def settle_lost(why):
            settle(Refused(f"certificate not trusted: {why}") if isinstance(why, ssl.SSLError)
                   else ConnectionError(f"disconnected: {why}"))

        handlers = {
            "session_start": lambda _: settle("started"),
            "session_resumed": lambda _: settle("resumed"),
            "failed_auth": lambda said: settle(Refused(f"login refused: {said}")),
            "failed_all_auth": lambda _: settle(Refused("no login method was accepted")),
            "ssl_invalid_chain": lambda error: settle(Refused(f"certificate not trusted: {error}")),
            "connection_failed": settle_lost,
            "disconnected": settle_lost,
        }
        for event, handler in handlers.items():
            self.add_event_handler(event, handler)
        self.connect(*self.address)
        try:
            result = await asyncio.wait_for(started, DEADLINE)
        except BaseException:
            self.cancel_connection_attempt()
            self.abort()
            raise
        finally:
            for event, handler in handlers.items():
                self.del_event_handler(event, handler)
        if presence and result == "started":
            await self.get_roster()
            self.send_presence()
        return result

    async def log_out(self):
        """Closes the stream in order and waits until it is closed."""
        await asyncio.wait_for(self.disconnect(), DEADLINE)

    def cut(self):
        """Breaks the TCP connection without a word, as a lost network does."""
        self.transport.abort()

    def say(self, to, body, **more):
        """Sends a chat message with an id of its own and returns the id."""
        message = self.make_message(mto=to, mbody=body, mtype="chat")
        message["id"] = more.get("id", uuid.uuid4().hex)
        message.send()
        return message["id"]

    async def expect_message(self, body):
        """The next message with a body must be `body`."""
        while True:
            message = await within(self.inbox.get(), f"{self.boundjid} to receive {body!r}")
            if message["body"]:
                check(message["body"] == body, f"{self.boundjid} received {message['body']!r}, not {body!r}")
                return message

    async def expect_no_message(self):
        """Nothing with a body has arrived by the time the server has answered a ping that was sent after it."""
        await self.plugin["xep_0199"].send_ping(self.boundjid.host, timeout=DEADLINE)
        while not self.inbox.empty():
            message = self.inbox.get_nowait()
            check(not message["body"], f"{self.boundjid} received {message['body']!r}, nothing was expected")

    async def expect_presence(self, kind, sender):
        """Skips presences until one of `kind` from the bare address `sender`."""
        while True:
            presence = await within(self.presences.get(), f"{self.boundjid} to receive {kind} from {sender}")
            if presence["type"] == kind and presence["from"].bare == sender:
                return presence

    async def archive(self, **query):
        """The messages of one whole archive query, paged by `rsm`'s `max`: [(archive id, from, body)]."""
        found = []
        async for page in self.plugin["xep_0313"].iterate(**query):
            result = page["mam_result"]
            message = result["forwarded"]["stanza"]
            if message["body"]:
                found.append((result["id"], str(message["from"].bare), message["body"]))
        return found


async def become_contacts(one, other):
    """`one` asks, `other` agrees and asks back: both end with subscription `both`."""
    for asker, agreeing in ((one, other), (other, one)):
        asker.send_presence_subscription(agreeing.boundjid.bare, ptype="subscribe")
        await agreeing.expect_presence("subscribe", asker.boundjid.bare)
        agreeing.send_presence_subscription(asker.boundjid.bare, ptype="subscribed")
        await asker.expect_presence("subscribed", agreeing.boundjid.bare)
    for client, contact in ((one, other), (other, one)):
        state = await subscription(client, contact.boundjid.bare)
        check(state == "both", f"{client.boundjid} has subscription {state!r} to {contact.boundjid.bare}, not 'both'")


async def subscription(client, contact):
    """What the server's roster says now: the whole of it, whatever version the library has."""
    query = client.make_iq_get()
    query.enable("roster")
    items = (await query.send(timeout=DEADLINE))["roster"]["items"]
    return items[slixmpp.JID(contact)]["subscription"] if slixmpp.JID(contact) in items else None


async def within(awaitable, what):
    """`awaitable`, or an error that says what was awaited."""
    try:
        return await asyncio.wait_for(awaitable, DEADLINE)
    except asyncio.TimeoutError:
        raise AssertionError(f"waited {DEADLINE} s for {what}") from None


def check(condition, otherwise):
    """Like assert, which `python -O` would remove."""
    if not condition:
        raise AssertionError(otherwise)


def main(conversations):
    """Runs the conversation named on the command line with the settings given there."""
    name, settings = sys.argv[1], json.loads(sys.argv[2])
    logging.basicConfig(filename=settings["log"], level=logging.DEBUG,
                        format="%(asctime)s %(levelname)s %(name)s %(message)s")
    conversation = conversations[name]
    if not inspect.iscoroutinefunction(conversation):
        raise TypeError(f"{name} is no conversation")
    try:
        asyncio.run(conversation(settings))
    except Exception:
        logging.exception("the conversation failed")
        raise
    print(f"conversation {name}: done")
