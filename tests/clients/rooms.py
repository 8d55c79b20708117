"""Rooms as slixmpp uses them; `anna` and `ben` have accounts."""

import asyncio

from perch_client import DEADLINE, Client, check, main, within

PLUGINS = ["xep_0045", "xep_0249", "xep_0359", "xep_0421", "xep_0425"]
ROOMS = "rooms."


def person(settings, name, **more):
    client = Client(settings, name, settings[name], **more)
    for plugin in PLUGINS:
        client.register_plugin(plugin)
    client.talk = asyncio.Queue()
    client.add_event_handler("groupchat_message", client.talk.put_nowait)
    client.seen = asyncio.Queue()
    client.add_event_handler("groupchat_presence", client.seen.put_nowait)
    client.subjects = asyncio.Queue()
    client.add_event_handler("groupchat_subject", client.subjects.put_nowait)
    return client


async def enter(client, room, nick, **more):
    """Returns what slixmpp does: the own presence, the subject, the occupants, the history."""
    return await client.plugin["xep_0045"].join_muc_wait(room, nick, timeout=DEADLINE, **more)


async def expect_talk(client, nick, body):
    message = await within(client.talk.get(), f"{client.boundjid} to read {body!r}")
    check(message["body"] == body and message["from"].resource == nick,
          f"{client.boundjid} read {message['body']!r} from {message['from']}, not {body!r} from {nick}")
    return message


def say(client, room, body):
    client.send_message(mto=room, mbody=body, mtype="groupchat")


async def configure(client, room, **fields):
    """Fills in the room's own form and submits it."""
    muc = client.plugin["xep_0045"]
    form = await muc.get_room_config(room, timeout=DEADLINE)
    for name, value in fields.items():
        field = f"muc#roomconfig_{name}"
        check(field in form.get_fields(), f"the form has no field {field}")
        form.get_fields()[field]["value"] = value
    form["type"] = "submit"
    await muc.set_room_config(room, form, timeout=DEADLINE)


async def join_talk_history_configure(settings):
    room = f"tea@{ROOMS}{settings['domain']}"
    anna, ben = person(settings, "anna"), person(settings, "ben")
    await anna.log_in()
    await ben.log_in()
    await enter(anna, room, "Anna")
    await configure(anna, room, roomname="Tea time", persistentroom=True, whois="anyone")
    info = await ben.plugin["xep_0030"].get_info(jid=room, timeout=DEADLINE)
    features = info["disco_info"]["features"]
    for feature in ("muc_persistent", "muc_nonanonymous", "urn:xmpp:mam:2", "urn:xmpp:occupant-id:0"):
        check(feature in features, f"{feature} is not among {sorted(features)}")
    for number in range(3):
        say(anna, room, f"before Ben {number}")
        await expect_talk(anna, "Anna", f"before Ben {number}")
    _, _, occupants, past = await enter(ben, room, "Ben")
    history = [message["body"] for message in past]
    check(history == [f"before Ben {number}" for number in range(3)], f"the history is {history}")
    nicks = {presence["from"].resource for presence in occupants}
    check("Anna" in nicks, f"Ben sees {nicks}")
    while not ben.talk.empty():
        ben.talk.get_nowait()
    say(ben, room, "hello from Ben")
    seen = await expect_talk(anna, "Ben", "hello from Ben")
    check(seen["stanza_id"]["by"] == room, "the message has no id of the room")
    await expect_talk(ben, "Ben", "hello from Ben")
    await ben.plugin["xep_0199"].send_ping(f"{room}/Ben", timeout=DEADLINE)
    # Anna's archive of the room has everything, once and in order.
    bodies = []
    async for page in anna.plugin["xep_0313"].iterate(jid=room, rsm={"max": 2}):
        body = page["mam_result"]["forwarded"]["stanza"]["body"]
        if body:
            bodies.append(body)
    check(bodies == history + ["hello from Ben"], f"the archive has {bodies}")
    anna.plugin["xep_0045"].set_subject(room, "Cake")
    while (subject := await within(ben.subjects.get(), "the subject"))["subject"] != "Cake":
        pass
    check(subject["from"].resource == "Anna", f"the subject is by {subject['from']}")
    await configure(anna, room, membersonly=True)
    await left(ben, room, "Ben", 322)
    await anna.plugin["xep_0045"].set_affiliation(room, "member", jid=ben.boundjid.bare, timeout=DEADLINE)
    await enter(ben, room, "Ben")
    await anna.plugin["xep_0045"].set_role(room, "Ben", "none", reason="enough", timeout=DEADLINE)
    await left(ben, room, "Ben", 307)
    await anna.plugin["xep_0045"].destroy(room, reason="over", timeout=DEADLINE)
    items = await ben.plugin["xep_0030"].get_items(jid=f"{ROOMS}{settings['domain']}", timeout=DEADLINE)
    check(not items["disco_items"]["items"], "the room is still listed")
    await anna.log_out()
    await ben.log_out()


async def left(client, room, nick, code):
    """Returns when the room has told the client, with a status code, that it is out."""
    while True:
        presence = await within(client.seen.get(), f"{client.boundjid} to be out of {room}")
        codes = presence["muc"]["status_codes"]
        if str(presence["from"]) == f"{room}/{nick}" and presence["type"] == "unavailable" and 110 in codes:
            check(code in codes, f"{nick} is out with the status codes {codes}, without {code}")
            return


if __name__ == "__main__":
    main({name: function for name, function in globals().items() if asyncio.iscoroutinefunction(function)})
