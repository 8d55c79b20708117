"""What clients keep on the server and show their contacts (PEP); `anna` and `ben` have accounts."""

import asyncio
import base64
import hashlib

from slixmpp.exceptions import IqError
from slixmpp.xmlstream import ET
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath
from perch_client import DEADLINE, Client, become_contacts, check, main, within

AVATAR_DATA, AVATAR_METADATA = "urn:xmpp:avatar:data", "urn:xmpp:avatar:metadata"
DEVICES = "eu.siacs.conversations.axolotl.devicelist"
BOOKMARKS, OLD_BOOKMARKS = "urn:xmpp:bookmarks:1", "storage:bookmarks"
PUBSUB = "http://jabber.org/protocol/pubsub"
EVENT = PUBSUB + "#event"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8


class Person(Client):
    """A client that says of which nodes it wants to hear, and collects what it hears: (from, node, item id, payload)."""

    def __init__(self, settings, name, *nodes, **more):
        super().__init__(settings, name, settings[name], **more)
        for plugin in ("xep_0004", "xep_0060", "xep_0115", "xep_0163"):
            self.register_plugin(plugin)
        self.nodes = nodes
        self.events = asyncio.Queue()
        # The library calls only what has a body a message.
        self.register_handler(Callback("events", StanzaPath("message/pubsub_event"), self.take_event))

    async def log_in(self, *, presence=True):
        result = await super().log_in(presence=False)
        if presence and result == "started":
            # The library keeps features by the full address, which is known only now.
            for node in self.nodes:
                self.plugin["xep_0030"].add_feature(node + "+notify")
            await self.plugin["xep_0115"].update_caps()
            await self.get_roster()
            self.send_presence()
        return result

    def take_event(self, message):
        items = message.xml.find(f"{{{EVENT}}}event/{{{EVENT}}}items")
        if items is None:
            return
        for item in items:
            payload = item[0] if len(item) else None
            kind = item.tag.rpartition("}")[2]
            self.events.put_nowait((str(message["from"]), items.get("node"), kind, item.get("id"), payload))

    async def expect_event(self, sender, node, item_id=None, kind="item"):
        got = await within(self.events.get(), f"{self.boundjid} to hear of {node} of {sender}")
        check(got[:3] == (sender, node, kind) and item_id in (None, got[3]),
              f"{self.boundjid} heard {got}, not {sender}, {node}, {kind}, {item_id}")
        return got[4]

    async def expect_no_event(self):
        await self.plugin["xep_0199"].send_ping(self.boundjid.host, timeout=DEADLINE)
        check(self.events.empty(), "an event came that was not expected")

    async def publish(self, node, item_id, payload, **options):
        form = None
        if options:
            form = self.plugin["xep_0004"].make_form(ftype="submit")
            form.add_field(var="FORM_TYPE", ftype="hidden", value=PUBSUB + "#publish-options")
            for name, value in options.items():
                form.add_field(var="pubsub#" + name, value=value)
        return await self.plugin["xep_0060"].publish(
            None, node, id=item_id, payload=ET.fromstring(payload), options=form, timeout=DEADLINE)

    async def items(self, jid, node, **more):
        result = await self.plugin["xep_0060"].get_items(jid, node, timeout=DEADLINE, **more)
        return [(item["id"], item["payload"]) for item in result["pubsub"]["items"]]


async def contacts(settings, nodes):
    anna, ben = Person(settings, "anna", *nodes), Person(settings, "ben", *nodes)
    await anna.log_in()
    await ben.log_in()
    await become_contacts(anna, ben)
    return anna, ben


async def refused(awaitable, condition):
    try:
        await awaitable
    except IqError as error:
        check(error.iq["error"]["condition"] == condition, f"refused with {error.iq['error']}, not {condition}")
        return error
    raise AssertionError(f"was not refused with {condition}")


def metadata(picture):
    digest = hashlib.sha1(picture).hexdigest()
    return digest, (f"<metadata xmlns='{AVATAR_METADATA}'><info bytes='{len(picture)}' id='{digest}'"
                    " type='image/png' width='16' height='16'/></metadata>")


async def a_picture_and_devices_are_shown_to_contacts(settings):
    anna, ben = await contacts(settings, (AVATAR_METADATA, DEVICES))
    await anna.publish(DEVICES, "current", "<list xmlns='eu.siacs.conversations.axolotl'><device id='7'/></list>",
                       access_model="open", persist_items="true")
    for person in (anna, ben):
        devices = await person.expect_event(anna.boundjid.bare, DEVICES, "current")
        check(devices[0].get("id") == "7", f"the devices are {ET.tostring(devices)}")
    digest, info = metadata(PICTURE)
    await anna.publish(AVATAR_METADATA, digest, info)
    for person in (anna, ben):
        await person.expect_event(anna.boundjid.bare, AVATAR_METADATA, digest)
    # Another device of Ben's, that comes later, is told as well; a stranger reads only what is open.
    late = Person(settings, "ben", AVATAR_METADATA, DEVICES, resource="late")
    await late.log_in()
    heard = {(await within(late.events.get(), "the newest items"))[1] for _ in range(2)}
    check(heard == {AVATAR_METADATA, DEVICES}, f"the late device heard of {heard}")
    found = await ben.items(anna.boundjid.bare, DEVICES)
    check([item for item, _ in found] == ["current"], f"the devices' node has {found}")
    carla = Person(settings, "carla")
    await carla.log_in()
    check(len(await carla.items(anna.boundjid.bare, DEVICES)) == 1, "a stranger cannot read an open node")
    await refused(carla.items(anna.boundjid.bare, AVATAR_METADATA), "not-authorized")
    for person in (anna, ben, late, carla):
        await person.log_out()


async def only_who_asked_for_it_is_notified(settings):
    anna, ben = await contacts(settings, (DEVICES,))
    await anna.publish("urn:example:other", "1", "<x xmlns='urn:example'/>")
    await anna.expect_no_event()
    await ben.expect_no_event()
    await anna.publish(DEVICES, "current", "<list xmlns='eu.siacs.conversations.axolotl'/>",
                       access_model="whitelist")
    await anna.expect_event(anna.boundjid.bare, DEVICES)
    await ben.expect_no_event()
    await refused(ben.items(anna.boundjid.bare, DEVICES), "not-allowed")
    error = await refused(anna.publish(DEVICES, "current", "<list xmlns='eu.siacs.conversations.axolotl'/>",
                                       access_model="open"), "conflict")
    told = error.iq.xml.find(f".//{{{PUBSUB}#errors}}precondition-not-met")
    check(told is not None, "no precondition-not-met in the error")
    await refused(ben.plugin["xep_0060"].publish(anna.boundjid.bare, DEVICES, timeout=DEADLINE), "forbidden")
    await anna.log_out()
    await ben.log_out()


async def many_items_are_kept_and_retracted(settings):
    anna = Person(settings, "anna", "urn:example:notes")
    await anna.log_in()
    for number in range(20):
        await anna.publish("urn:example:notes", f"n{number}", f"<note xmlns='urn:example'>{number}</note>",
                           max_items="max", persist_items="1", access_model="whitelist")
        await anna.expect_event(anna.boundjid.bare, "urn:example:notes", f"n{number}")
    found = await anna.items(None, "urn:example:notes")
    check([item for item, _ in found] == [f"n{number}" for number in range(20)], f"found {found}")
    found = await anna.items(None, "urn:example:notes", max_items=3)
    check([item for item, _ in found] == ["n17", "n18", "n19"], f"the newest three are {found}")
    found = await anna.items(None, "urn:example:notes", item_ids=["n4"])
    check([item for item, _ in found] == ["n4"], f"by id: {found}")
    await anna.plugin["xep_0060"].retract(None, "urn:example:notes", "n4", notify=True, timeout=DEADLINE)
    await anna.expect_event(anna.boundjid.bare, "urn:example:notes", "n4", kind="retract")
    check(len(await anna.items(None, "urn:example:notes")) == 19, "the retracted item is still there")
    form = await anna.plugin["xep_0060"].get_node_config(None, "urn:example:notes", timeout=DEADLINE)
    values = form["pubsub_owner"]["configure"]["form"].get_values()
    check(values["pubsub#access_model"] == "whitelist" and values["pubsub#max_items"] == "max", f"{values}")
    await anna.plugin["xep_0060"].purge(None, "urn:example:notes", timeout=DEADLINE)
    check(await anna.items(None, "urn:example:notes") == [], "a purged node has items")
    await anna.plugin["xep_0060"].delete_node(None, "urn:example:notes", timeout=DEADLINE)
    await refused(anna.items(None, "urn:example:notes"), "item-not-found")
    await anna.log_out()


async def a_channel_has_followers(settings):
    anna, ben = Person(settings, "anna"), Person(settings, "ben")
    await anna.log_in()
    await ben.log_in()
    service = f"pubsub.{settings['domain']}"
    items = await anna.plugin["xep_0030"].get_items(jid=settings["domain"], timeout=DEADLINE)
    check(service in {jid for jid, _, _ in items["disco_items"]["items"]}, "the service is not listed")
    channels = anna.plugin["xep_0060"]
    await channels.create_node(service, "news", timeout=DEADLINE)
    await refused(channels.create_node(service, "news", timeout=DEADLINE), "conflict")
    await ben.plugin["xep_0060"].subscribe(service, "news", timeout=DEADLINE)
    entry = ET.fromstring("<entry xmlns='http://www.w3.org/2005/Atom'><title>Rain</title></entry>")
    await channels.publish(service, "news", id="1", payload=entry, timeout=DEADLINE)
    await ben.expect_event(service, "news", "1")
    await refused(ben.plugin["xep_0060"].publish(service, "news", id="2", payload=entry, timeout=DEADLINE), "forbidden")
    await channels.modify_affiliations(service, "news", [(ben.boundjid.bare, "publisher")], timeout=DEADLINE)
    await ben.plugin["xep_0060"].publish(service, "news", id="2", payload=entry, timeout=DEADLINE)
    await ben.expect_event(service, "news", "2")
    await refused(ben.plugin["xep_0060"].delete_node(service, "news", timeout=DEADLINE), "forbidden")
    await ben.plugin["xep_0060"].unsubscribe(service, "news", timeout=DEADLINE)
    await channels.retract(service, "news", "1", notify=True, timeout=DEADLINE)
    await ben.expect_no_event()
    check([item for item, _ in await ben.items(service, "news")] == ["2"], "the retracted item is still there")
    await channels.delete_node(service, "news", timeout=DEADLINE)
    await anna.log_out()
    await ben.log_out()


async def bookmarks_of_clients_of_every_age_agree(settings):
    """One client keeps bookmarks in private storage (XEP-0048), one as items (XEP-0402); both see the same."""
    old, new = Person(settings, "anna", resource="old"), Person(settings, "anna", BOOKMARKS, resource="new")
    old.register_plugin("xep_0048", {"storage_method": "xep_0049"})
    await old.log_in()
    await new.log_in()
    info = await new.plugin["xep_0030"].get_info(jid=new.boundjid.bare, timeout=DEADLINE)
    features = info["disco_info"]["features"]
    for feature in ("urn:xmpp:bookmarks:1#compat", PUBSUB + "#publish-options", PUBSUB + "#config-node-max"):
        check(feature in features, f"{feature} is not announced")
    room, other = (f"{name}@rooms.{settings['domain']}" for name in ("family", "garden"))
    await new.publish(BOOKMARKS, room, f"<conference xmlns='{BOOKMARKS}' name='Family' autojoin='true'><nick>A</nick></conference>",
                      persist_items="true", max_items="max", send_last_published_item="never",
                      access_model="whitelist")
    await new.expect_event(new.boundjid.bare, BOOKMARKS, room)
    kept = await old.plugin["xep_0048"].get_bookmarks(timeout=DEADLINE)
    found = [(str(c["jid"]), c["name"], c["autojoin"], c["nick"]) for c in kept["private"]["bookmarks"]["conferences"]]
    check(found == [(room, "Family", True, "A")], f"the old client sees {found}")
    bookmarks = kept["private"]["bookmarks"]
    bookmarks.add_conference(other, "B", autojoin=False)
    await old.plugin["xep_0048"].set_bookmarks(bookmarks, timeout=DEADLINE)
    await new.expect_event(new.boundjid.bare, BOOKMARKS, other)
    check({item for item, _ in await new.items(None, BOOKMARKS)} == {room, other}, "the new client lacks a bookmark")
    await new.plugin["xep_0060"].retract(None, BOOKMARKS, room, notify=True, timeout=DEADLINE)
    await new.expect_event(new.boundjid.bare, BOOKMARKS, room, kind="retract")
    kept = await old.plugin["xep_0048"].get_bookmarks(timeout=DEADLINE)
    found = [str(c["jid"]) for c in kept["private"]["bookmarks"]["conferences"]]
    check(found == [other], f"after the retraction the old client sees {found}")
    await old.log_out()
    await new.log_out()


async def a_picture_is_one_in_vcard_and_nodes(settings):
    anna, ben = await contacts(settings, (AVATAR_METADATA,))
    digest, info = metadata(PICTURE)
    encoded = base64.b64encode(PICTURE).decode("ascii")
    await anna.publish(AVATAR_DATA, digest, f"<data xmlns='{AVATAR_DATA}'>{encoded}</data>")
    await anna.publish(AVATAR_METADATA, digest, info)
    await ben.expect_event(anna.boundjid.bare, AVATAR_METADATA, digest)
    card = await ben.plugin["xep_0054"].get_vcard(jid=anna.boundjid.bare, cached=False, timeout=DEADLINE)
    check(card["vcard_temp"]["PHOTO"]["BINVAL"] == PICTURE, "the vCard has another picture")
    while True:
        presence = await ben.expect_presence("available", anna.boundjid.bare)
        photo = presence.xml.find("{vcard-temp:x:update}x/{vcard-temp:x:update}photo")
        if photo is not None and photo.text == digest:
            break
    # And the other way round: what an old client puts into its vCard is published.
    other = PICTURE + b"more"
    card = anna.plugin["xep_0054"].make_vcard()
    card["PHOTO"]["TYPE"], card["PHOTO"]["BINVAL"] = "image/png", other
    await anna.plugin["xep_0054"].publish_vcard(card, timeout=DEADLINE)
    digest, _ = metadata(other)
    await ben.expect_event(anna.boundjid.bare, AVATAR_METADATA, digest)
    found = await ben.items(anna.boundjid.bare, AVATAR_DATA, item_ids=[digest])
    check(base64.b64decode(found[0][1].text) == other, "the published picture is another one")
    await anna.log_out()
    await ben.log_out()


if __name__ == "__main__":
    main({name: function for name, function in globals().items() if asyncio.iscoroutinefunction(function)})
