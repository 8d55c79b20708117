"""Anna of imd and Pia of another server: contacts, messages, pings and rooms, whoever begins."""

import asyncio
import uuid

from perch_client import DEADLINE, Client, become_contacts, check, main, within


class Person(Client):
    """A client that goes into rooms."""

    def __init__(self, settings, name, **more):
        super().__init__(settings, name, settings[name], **more)
        self.register_plugin("xep_0045")
        self.said = asyncio.Queue()
        self.add_event_handler("groupchat_message", self.said.put_nowait)

    async def enter(self, room, nick, *, new=False):
        """Joins a room; a new one is unlocked with its default configuration (XEP-0045 §10.1.2)."""
        await self.plugin["xep_0045"].join_muc_wait(room, nick, timeout=DEADLINE, maxstanzas=0)
        if new:
            form = self.plugin["xep_0004"].make_form(ftype="submit")
            await self.plugin["xep_0045"].set_room_config(room, form, timeout=DEADLINE)

    async def expect_said(self, nick, body):
        """Skips what has no body until the next message in the room, which must be this."""
        while True:
            message = await within(self.said.get(), f"{self.boundjid} to hear {body!r}")
            if message["body"]:
                check((message["from"].resource, message["body"]) == (nick, body),
                      f"{self.boundjid} heard {message['body']!r} from {message['from']}, not {body!r} from {nick}")
                return


async def people(settings):
    anna = Person(settings, "anna", resource="desk")
    pia = Person(settings["peer"] | {"log": settings["log"]}, "pia", resource="phone")
    await anna.log_in()
    await pia.log_in()
    return anna, pia


async def meet(first, second, rooms_of_first):
    """`first` does everything first, towards `second` on the other server."""
    await first.plugin["xep_0199"].send_ping(second.boundjid.host, timeout=DEADLINE)
    await become_contacts(first, second)
    second.send_presence(pshow="chat")
    await first.expect_presence("chat", second.boundjid.bare)
    first.send_presence(pshow="away", pstatus="At lunch")
    await second.expect_presence("away", first.boundjid.bare)

    for number in range(20):
        first.say(second.boundjid.bare, f"message {number}")
    for number in range(20):
        message = await second.expect_message(f"message {number}")
        check(message["from"] == first.boundjid, f"the message is from {message['from']}")
    second.say(first.boundjid.full, "ünïcode & <markup>")
    await first.expect_message("ünïcode & <markup>")

    room = f"{uuid.uuid4().hex[:8]}@{rooms_of_first}"
    await first.enter(room, "host", new=True)
    await second.enter(room, "guest")
    for sender, nick, body in ((first, "host", "welcome"), (second, "guest", "thank you")):
        sender.send_message(room, body, mtype="groupchat")
        for listener in (first, second):
            await listener.expect_said(nick, body)
    second.plugin["xep_0045"].leave_muc(room, "guest")

    await second.log_out()
    await first.expect_presence("unavailable", second.boundjid.bare)
    first.send_presence_subscription(second.boundjid.bare, ptype="unsubscribe")
    await first.del_roster_item(second.boundjid.bare)
    await first.log_out()


async def the_peer_begins(settings):
    anna, pia = await people(settings)
    await meet(pia, anna, settings["peer"]["rooms"])
    anna, pia = await people(settings)
    await anna.del_roster_item(pia.boundjid.bare)
    await anna.log_out()
    await pia.log_out()


async def we_begin(settings):
    anna, pia = await people(settings)
    await meet(anna, pia, f"rooms.{settings['domain']}")


if __name__ == "__main__":
    main({name: function for name, function in globals().items() if asyncio.iscoroutinefunction(function)})
