"""The chat of two people on a booted box, before and after a reset."""

from perch_client import DEADLINE, Client, become_contacts, check, main, subscription
from rooms import configure, enter, expect_talk, person, say

TALK = [("anna", "Hello, Ben"), ("ben", "Hello, Anna"), ("anna", "Ça va? 你好"), ("ben", "All well & <fine>")]
AGAIN = "Still there?"


def two_people(settings):
    """Anna by STARTTLS, Ben by direct TLS: both ports are used."""
    anna = Client(settings, "anna", settings["anna"], resource="phone", mechanism="SCRAM-SHA-256")
    ben = Client(settings, "ben", settings["ben"], resource="laptop", direct=True, mechanism="SCRAM-SHA-1")
    return anna, ben


async def read_back(anna, ben):
    """Both archives hold the whole talk, in order, and what was said when they met again."""
    people = {"anna": anna, "ben": ben}
    for client, contact in ((anna, ben), (ben, anna)):
        found = await client.archive(with_jid=contact.boundjid.bare)
        said = [(sender, body) for _, sender, body in found]
        wanted = [(people[name].boundjid.bare, body) for name, body in TALK]
        since = said[len(wanted):]
        check(
            said[:len(wanted)] == wanted and all(body == AGAIN for _, body in since),
            f"{client.boundjid}'s archive has {said}, not {wanted}")


async def meet(settings):
    """Log in, become contacts, talk both ways, read it back."""
    anna, ben = two_people(settings)
    await anna.log_in()
    await ben.log_in()
    await become_contacts(anna, ben)
    people = {"anna": (anna, ben), "ben": (ben, anna)}
    for name, body in TALK:
        speaker, listener = people[name]
        speaker.say(listener.boundjid.bare, body)
        message = await listener.expect_message(body)
        check(message["from"] == speaker.boundjid, f"the message is from {message['from']}")
    await read_back(anna, ben)
    await anna.log_out()
    await ben.log_out()


async def again(settings):
    """After the reset: contacts, presence and archive are as they were."""
    anna, ben = two_people(settings)
    await anna.log_in()
    await ben.log_in()
    await anna.expect_presence("available", ben.boundjid.bare)
    for client, contact in ((anna, ben), (ben, anna)):
        state = await subscription(client, contact.boundjid.bare)
        check(state == "both", f"after the reset {client.boundjid} has subscription {state!r}")
    await read_back(anna, ben)
    anna.say(ben.boundjid.bare, AGAIN)
    await ben.expect_message(AGAIN)
    await anna.log_out()
    await ben.log_out()


async def welcome(settings):
    """Anna waits for somebody who was invited, in the web chat, and answers."""
    anna = Client(settings, "anna", settings["anna"], resource="phone")
    await anna.log_in()
    print("online", flush=True)
    message = await anna.expect_message("Hello, Anna, this is Eve")
    anna.say(message["from"].bare, "Welcome, Eve")
    await anna.log_out()


async def in_the_room(settings, prepare=None):
    """Both are in the room; what has been said in it before is read already."""
    room = f"tea@rooms.{settings['domain']}"
    anna, ben = person(settings, "anna"), person(settings, "ben")
    await anna.log_in()
    await ben.log_in()
    await enter(anna, room, "Anna")
    if prepare:
        await prepare(anna, room)
    await enter(ben, room, "Ben")
    for client in (anna, ben):
        while not client.talk.empty():
            client.talk.get_nowait()
    return room, anna, ben


async def say_in_the_room(room, anna, ben, body):
    say(anna, room, body)
    for client in (anna, ben):
        await expect_talk(client, "Anna", body)
    await anna.log_out()
    await ben.log_out()


async def open_a_room(settings):
    """Anna opens a room for good, and says something in it."""
    async def keep(client, room):
        await configure(client, room, roomname="Tea time", persistentroom=True)

    room, anna, ben = await in_the_room(settings, keep)
    await say_in_the_room(room, anna, ben, TALK[0][1])


async def again_in_the_room(settings):
    """The room has its name and everything that was said in it."""
    room, anna, ben = await in_the_room(settings)
    info = await ben.plugin["xep_0030"].get_info(jid=room, timeout=DEADLINE)
    names = {identity[3] for identity in info["disco_info"]["identities"]}
    check(names == {"Tea time"}, f"the room is called {names}")
    said = [body for _, _, body in await anna.archive(jid=room)]
    check(said[:1] == [TALK[0][1]] and all(body == AGAIN for body in said[1:]), f"the room's archive has {said}")
    await say_in_the_room(room, anna, ben, AGAIN)


if __name__ == "__main__":
    main({"meet": meet, "again": again, "welcome": welcome, "open_a_room": open_a_room, "again_in_the_room": again_in_the_room})
