"""A component made with slixmpp (XEP-0114), as gateways and bots are, and a client that talks with it."""

import asyncio

import slixmpp
from perch_client import DEADLINE, Client, check, main, within


class Echo(slixmpp.ComponentXMPP):
    """Answers every message with its own text."""

    def __init__(self, settings, secret):
        super().__init__("echo.perch.test", secret, "127.0.0.1", settings["component"])
        for plugin in ("xep_0030", "xep_0199"):
            self.register_plugin(plugin)
        self.started = asyncio.Event()
        self.refused = asyncio.Event()
        self.add_event_handler("session_start", lambda _: self.started.set())
        self.add_event_handler("stream_error", lambda _: self.refused.set())
        self.add_event_handler("message", self.answer)

    def answer(self, message):
        if message["body"] and message["type"] != "error":
            self.send_message(message["from"], message["body"], mfrom=message["to"], mtype="chat")


async def a_component_talks_with_a_client(settings):
    stranger = Echo(settings, "a guess")
    stranger.connect()
    await within(stranger.refused.wait(), "the component with the wrong secret to be refused")
    check(not stranger.started.is_set(), "a component was let in with the wrong secret")
    await stranger.disconnect()

    echo = Echo(settings, "the secret of the echo")
    echo.connect()
    await within(echo.started.wait(), "the component's handshake")

    anna = Client(settings, "anna", settings["anna"])
    await anna.log_in()
    items = await anna.plugin["xep_0030"].get_items(settings["domain"], timeout=DEADLINE)
    names = {item[0]: item[2] for item in items["disco_items"]["items"]}
    check(names.get("echo.perch.test") == "Echo", f"the server lists {names}")
    anna.say("someone@echo.perch.test", "Is anybody there?")
    answer = await anna.expect_message("Is anybody there?")
    check(answer["from"] == "someone@echo.perch.test", f"the answer is from {answer['from']}")
    info = await anna.plugin["xep_0030"].get_info("echo.perch.test", timeout=DEADLINE)
    check("urn:xmpp:ping" in info["disco_info"]["features"], "the component's own answer did not arrive")
    await anna.plugin["xep_0199"].send_ping("echo.perch.test", timeout=DEADLINE)
    await echo.plugin["xep_0199"].send_ping(anna.boundjid, ifrom="echo.perch.test", timeout=DEADLINE)
    await anna.log_out()
    await echo.disconnect()


if __name__ == "__main__":
    main({name: function for name, function in globals().items() if asyncio.iscoroutinefunction(function)})
