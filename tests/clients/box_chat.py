"""The chat of two people on a booted box, before and after a reset."""

from perch_client import Client, become_contacts, check, main, subscription

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


if __name__ == "__main__":
    main({"meet": meet, "again": again})
