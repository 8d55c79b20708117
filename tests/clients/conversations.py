"""What two people do with a server, one function per conversation; `anna` and `ben` have accounts."""

import asyncio
import base64
import random

import slixmpp
from perch_client import DEADLINE, Client, Refused, become_contacts, check, main, subscription, within

MECHANISMS = ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"]


def person(settings, name, **more):
    return Client(settings, name, settings[name], **more)


async def two_contacts(settings, **more):
    """Anna and Ben logged in and contacts of each other."""
    anna, ben = person(settings, "anna", **more), person(settings, "ben")
    await anna.log_in()
    await ben.log_in()
    await become_contacts(anna, ben)
    return anna, ben


async def refused(client):
    """The error of a login that must fail."""
    try:
        await client.log_in()
    except Refused as error:
        return str(error)
    raise AssertionError(f"{client.boundjid} was let in")


async def every_mechanism_on_both_ports(settings):
    for direct in (False, True):
        for mechanism in MECHANISMS:
            anna = person(settings, "anna", direct=direct, mechanism=mechanism, resource="desk")
            await anna.log_in()
            check(anna.boundjid.full == f"anna@{settings['domain']}/desk", f"bound as {anna.boundjid}")
            await anna.plugin["xep_0199"].send_ping(settings["domain"], timeout=DEADLINE)
            await anna.log_out()
            print(f"{mechanism} by {'direct TLS' if direct else 'STARTTLS'}: logged in")


async def wrong_password_is_refused(settings):
    for mechanism in MECHANISMS:
        error = await refused(Client(settings, "anna", "not her password", mechanism=mechanism))
        check("not-authorized" in error or "no login method" in error, f"{mechanism}: {error}")
    await refused(Client(settings, "nobody", "no such account"))


async def another_authority_is_not_trusted(settings):
    for direct in (False, True):
        error = await refused(person(settings, "anna", direct=direct, ca=settings["other_ca"]))
        check("not trusted" in error, error)


async def contacts_and_presence(settings):
    anna, ben = await two_contacts(settings)
    ben.send_presence(pshow="away", pstatus="At lunch")
    while (seen := await anna.expect_presence("away", ben.boundjid.bare))["status"] != "At lunch":
        pass
    check(seen["from"] == ben.boundjid, f"the presence is from {seen['from']}")
    await ben.log_out()
    await anna.expect_presence("unavailable", ben.boundjid.bare)
    ben = person(settings, "ben")
    await ben.log_in()
    await anna.expect_presence("available", ben.boundjid.bare)
    await ben.expect_presence("available", anna.boundjid.bare)
    await anna.del_roster_item(ben.boundjid.bare)
    await ben.expect_presence("unsubscribed", anna.boundjid.bare)
    state = await subscription(anna, ben.boundjid.bare)
    check(state is None, f"a removed contact is in the roster with {state!r}")
    state = await subscription(ben, anna.boundjid.bare)
    check(state == "none", f"the contact who was removed has {state!r}, not 'none'")
    await anna.log_out()
    await ben.log_out()


async def a_refused_contact_sees_nothing(settings):
    anna, ben = person(settings, "anna"), person(settings, "ben")
    await anna.log_in()
    await ben.log_in()
    anna.send_presence_subscription(ben.boundjid.bare, ptype="subscribe")
    await ben.expect_presence("subscribe", anna.boundjid.bare)
    ben.send_presence_subscription(anna.boundjid.bare, ptype="unsubscribed")
    await anna.expect_presence("unsubscribed", ben.boundjid.bare)
    state = await subscription(anna, ben.boundjid.bare)
    check(state == "none", f"after a refusal Anna has {state!r}, not 'none'")
    await anna.log_out()
    await ben.log_out()


async def every_device_has_the_talk(settings):
    """Carbons: Anna's tablet sees what her phone sends and what reaches it."""
    anna, ben = await two_contacts(settings, resource="phone")
    tablet = person(settings, "anna", resource="tablet")
    await tablet.log_in()
    carbons = asyncio.Queue()
    for kind in ("carbon_sent", "carbon_received"):
        tablet.add_event_handler(kind, lambda message, kind=kind: carbons.put_nowait((kind, message[kind]["body"])))
    await tablet.plugin["xep_0280"].enable(timeout=DEADLINE)
    await anna.plugin["xep_0280"].enable(timeout=DEADLINE)
    anna.say(ben.boundjid, "from the phone")
    await ben.expect_message("from the phone")
    check(await within(carbons.get(), "a carbon of what was sent") == ("carbon_sent", "from the phone"), "sent carbon")
    ben.say(anna.boundjid, "to the phone")
    await anna.expect_message("to the phone")
    got = await within(carbons.get(), "a carbon of what was received")
    check(got == ("carbon_received", "to the phone"), f"received carbon: {got}")
    await anna.expect_no_message()
    for client in (anna, tablet, ben):
        await client.log_out()


async def the_archive_pages_in_order(settings):
    anna, ben = await two_contacts(settings)
    wanted = [f"message {number}" for number in range(25)]
    for body in wanted:
        anna.say(ben.boundjid.bare, body)
    for body in wanted:
        await ben.expect_message(body)
    for client in (anna, ben):
        other = (ben if client is anna else anna).boundjid.bare
        for size in (1, 10, 25, 100):
            found = await client.archive(with_jid=other, rsm={"max": size})
            check([body for _, _, body in found] == wanted, f"pages of {size}: {found}")
        ids = [archive_id for archive_id, _, _ in found]
        check(len(set(ids)) == len(ids), f"archive ids are not unique: {ids}")
        last = await client.archive(with_jid=other, rsm={"max": 3}, total=3, reverse=True)
        bodies = sorted(body for _, _, body in last)
        check(bodies == sorted(wanted[-3:]), f"the last page has {bodies}")
        page = await client.plugin["xep_0313"].retrieve(with_jid=other, rsm={"max": 3}, timeout=DEADLINE)
        check(page["mam_fin"].xml.get("complete") != "true", "a page with 22 messages after it calls itself complete")
    check(await anna.archive(with_jid=f"nobody@{settings['domain']}") == [], "an archive with nobody is not empty")
    await anna.log_out()
    await ben.log_out()


async def a_resumed_session_loses_and_doubles_nothing(settings):
    """Both talk; at each cut one of them, by chance, loses its connection, and both may say something meanwhile."""
    anna, ben = (person(settings, name, stream_management=True, resource="phone") for name in ("anna", "ben"))
    await anna.log_in()
    await ben.log_in()
    await become_contacts(anna, ben)
    dice = random.Random(settings["cuts"])
    said = {anna: [], ben: []}

    def speak(one, other, what):
        for number in range(dice.randrange(3)):
            body = f"{what}, {number}"
            one.say(other.boundjid, body)
            said[one].append(body)

    for cut in range(settings["cuts"]):
        loser, other = dice.sample((anna, ben), 2)
        speak(loser, other, f"from the loser before cut {cut}")
        speak(other, loser, f"before cut {cut}")
        gone = asyncio.get_running_loop().create_future()
        loser.add_event_handler("disconnected", lambda _, gone=gone: gone.done() or gone.set_result(None), disposable=True)
        loser.cut()
        await within(gone, "the connection to be cut")
        speak(other, loser, f"while cut {cut}")
        how = await loser.log_in()
        check(how == "resumed", f"after cut {cut} the session was {how}, not resumed")
        speak(loser, other, f"after cut {cut}")
    for one, other in ((anna, ben), (ben, anna)):
        for body in said[other]:
            await one.expect_message(body)
        await one.expect_no_message()
    found = [body for _, sender, body in await anna.archive(with_jid=ben.boundjid.bare)]
    check(sorted(found) == sorted(said[anna] + said[ben]), f"the archive has {found}")
    await anna.log_out()
    await ben.log_out()


async def a_blocked_person_does_not_get_through(settings):
    anna, ben = await two_contacts(settings)
    await anna.plugin["xep_0191"].block(ben.boundjid.bare, timeout=DEADLINE)
    await ben.expect_presence("unavailable", anna.boundjid.bare)
    error = asyncio.get_running_loop().create_future()
    ben.add_event_handler("message_error", lambda message: error.done() or error.set_result(message))
    ben.say(anna.boundjid.bare, "can you hear me?")
    condition = (await within(error, "an error for the blocked message"))["error"]["condition"]
    check(condition == "service-unavailable", f"the blocked sender is told {condition}")
    await anna.expect_no_message()
    listed = await anna.plugin["xep_0191"].get_blocked_jids(timeout=DEADLINE)
    check(listed == {slixmpp.JID(ben.boundjid.bare)}, f"the block list is {listed}")
    await anna.plugin["xep_0191"].unblock(ben.boundjid.bare, timeout=DEADLINE)
    await ben.expect_presence("available", anna.boundjid.bare)
    ben.say(anna.boundjid.bare, "and now?")
    await anna.expect_message("and now?")
    await anna.log_out()
    await ben.log_out()


async def a_card_is_seen_by_contacts(settings):
    anna, ben = await two_contacts(settings)
    card = anna.plugin["xep_0054"].make_vcard()
    card["FN"] = "Anna Ångström"
    card["PHOTO"]["TYPE"] = "image/png"
    card["PHOTO"]["BINVAL"] = base64.b64encode(b"a picture")
    await anna.plugin["xep_0054"].publish_vcard(card, timeout=DEADLINE)
    seen = (await ben.plugin["xep_0054"].get_vcard(anna.boundjid.bare, cached=False, timeout=DEADLINE))["vcard_temp"]
    check(seen["FN"] == "Anna Ångström", f"Ben sees the name {seen['FN']!r}")
    check(b"a picture" in (seen["PHOTO"]["BINVAL"], base64.b64decode(seen["PHOTO"]["BINVAL"])), "the picture differs")
    await anna.log_out()
    await ben.log_out()


async def messages_wait_for_the_absent(settings):
    anna, ben = await two_contacts(settings)
    await ben.log_out()
    wanted = [f"read this later {number}" for number in range(5)]
    for body in wanted:
        anna.say(ben.boundjid.bare, body)
    await anna.plugin["xep_0199"].send_ping(settings["domain"], timeout=DEADLINE)
    ben = person(settings, "ben")
    await ben.log_in()
    for body in wanted:
        message = await ben.expect_message(body)
        check(message.xml.find("{urn:xmpp:delay}delay") is not None, f"{body!r} does not say when it was sent")
    await ben.expect_no_message()
    await ben.log_out()
    ben = person(settings, "ben")
    await ben.log_in()
    await ben.expect_no_message()
    await anna.log_out()
    await ben.log_out()


async def burst(settings):
    """Sends until the server is gone; prints nothing but writes each acknowledged id to a file at once."""
    anna = person(settings, "anna", stream_management=True)
    await anna.log_in()
    gone = asyncio.get_running_loop().create_future()
    anna.add_event_handler("disconnected", lambda _: gone.done() or gone.set_result(None))
    with open(settings["acknowledged"], "w", encoding="ascii", buffering=1) as acknowledged:
        anna.add_event_handler(
            "stanza_acked", lambda stanza: stanza.name == "message" and acknowledged.write(stanza["id"] + "\n"))
        number = 0
        while not gone.done():
            anna.say(f"ben@{settings['domain']}", f"burst {number}", id=f"burst-{number}")
            number += 1
            # A few in flight at any time, never a queue without end.
            while len(anna.plugin["xep_0198"].unacked_queue) > 40 and not gone.done():
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)


async def burst_is_in_the_archive(settings):
    """After the restart: every acknowledged message is in both archives, and none twice."""
    with open(settings["acknowledged"], encoding="ascii") as lines:
        acknowledged = [line.strip() for line in lines if line.endswith("\n")]
    check(len(acknowledged) >= settings["at_least"], f"only {len(acknowledged)} messages were acknowledged")
    for name, other in (("anna", "ben"), ("ben", "anna")):
        client = person(settings, name)
        await client.log_in(presence=False)
        ids = []
        async for page in client.plugin["xep_0313"].iterate(with_jid=f"{other}@{settings['domain']}", rsm={"max": 100}):
            ids.append(page["mam_result"]["forwarded"]["stanza"]["id"])
        missing = [message_id for message_id in acknowledged if message_id not in set(ids)]
        check(not missing, f"{name}'s archive lacks {len(missing)} of {len(acknowledged)} acknowledged: {missing[:5]}")
        check(len(set(ids)) == len(ids), f"{name}'s archive has messages twice")
        print(f"{name}: {len(acknowledged)} acknowledged, {len(ids)} in the archive")
        await client.log_out()


async def told_of_shutdown(settings):
    """Stays until the server closes the stream, and says with which stream error."""
    anna = person(settings, "anna")
    await anna.log_in()
    said = asyncio.get_running_loop().create_future()
    anna.add_event_handler("stream_error", lambda error: said.done() or said.set_result(error["condition"]))
    with open(settings["ready"], "w", encoding="ascii"):
        pass
    condition = await within(said, "the server to say that it stops")
    check(condition == "system-shutdown", f"the stream ended with {condition}")


if __name__ == "__main__":
    main({name: function for name, function in globals().items() if asyncio.iscoroutinefunction(function)})
