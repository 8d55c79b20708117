//! Namespace names, each with the specification that defines it.

/// Stanzas between client and server (RFC 6120 §4.8.3).
pub const CLIENT: &str = "jabber:client";
/// Stanzas between servers (RFC 6120 §4.8.3).
pub const SERVER: &str = "jabber:server";
/// External components (XEP-0114).
pub const COMPONENT: &str = "jabber:component:accept";
/// Server dialback (XEP-0220).
pub const DIALBACK: &str = "jabber:server:dialback";
/// Server dialback as a stream feature (XEP-0220 §2.4.1).
pub const DIALBACK_FEATURE: &str = "urn:xmpp:features:dialback";
/// Server-to-server streams that carry stanzas both ways (XEP-0288).
pub const BIDI: &str = "urn:xmpp:bidi";
/// The same as a stream feature (XEP-0288 §2.1).
pub const BIDI_FEATURE: &str = "urn:xmpp:features:bidi";
/// The stream element (RFC 6120 §4.8.2).
pub const STREAM: &str = "http://etherx.jabber.org/streams";
/// Stream error conditions (RFC 6120 §4.9).
pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// Stanza error conditions (RFC 6120 §8.3).
pub const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// STARTTLS (RFC 6120 §5).
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// SASL (RFC 6120 §6).
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// Resource binding (RFC 6120 §7).
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// Session establishment, kept for old clients (RFC 3921 §3).
pub const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
/// Roster (RFC 6121 §2).
pub const ROSTER: &str = "jabber:iq:roster";
/// Roster versioning stream feature (RFC 6121 §2.6.1).
pub const ROSTER_VERSIONING: &str = "urn:xmpp:features:rosterver";
/// Subscription pre-approval stream feature (RFC 6121 §3.4).
pub const PRE_APPROVAL: &str = "urn:xmpp:features:pre-approval";
/// WebSocket framing (RFC 7395).
pub const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
/// When a server that is full is worth another try (`docs/protocol.md`); ours.
pub const OVERLOAD: &str = "urn:perch:overload:0";
/// The reserved `xml` prefix.
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// Data forms (XEP-0004).
pub const DATA_FORM: &str = "jabber:x:data";
/// Service discovery, information (XEP-0030).
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// Service discovery, items (XEP-0030).
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// Multi-user chat (XEP-0045).
pub const MUC: &str = "http://jabber.org/protocol/muc";
/// Multi-user chat, what occupants see (XEP-0045).
pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// vCard (XEP-0054).
pub const VCARD: &str = "vcard-temp";
/// Result set management (XEP-0059).
pub const RSM: &str = "http://jabber.org/protocol/rsm";
/// Publish-subscribe (XEP-0060).
pub const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// Publish-subscribe notifications (XEP-0060).
pub const PUBSUB_EVENT: &str = "http://jabber.org/protocol/pubsub#event";
/// Publish-subscribe, what owners do (XEP-0060 §8).
pub const PUBSUB_OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
/// Publish-subscribe error conditions (XEP-0060).
pub const PUBSUB_ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";
/// Entity capabilities (XEP-0115).
pub const CAPS: &str = "http://jabber.org/protocol/caps";
/// Channel binding types a server offers (XEP-0440).
pub const SASL_CHANNEL_BINDING: &str = "urn:xmpp:sasl-cb:0";
/// The extensible SASL profile, SASL2 (XEP-0388).
pub const SASL2: &str = "urn:xmpp:sasl:2";
/// Bind 2 (XEP-0386).
pub const BIND2: &str = "urn:xmpp:bind:0";
/// Login tokens, FAST (XEP-0484).
pub const FAST: &str = "urn:xmpp:fast:0";
/// Upgrades of an account's keys (XEP-0480).
pub const SASL_UPGRADE: &str = "urn:xmpp:sasl:upgrade:0";
/// Upgrades of an account's keys for SCRAM (XEP-0480 §3).
pub const SCRAM_UPGRADE: &str = "urn:xmpp:scram-upgrade:0";
/// Chat state notifications (XEP-0085).
pub const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// Software version (XEP-0092).
pub const VERSION: &str = "jabber:iq:version";
/// vCard-based avatars in presence (XEP-0153).
pub const VCARD_UPDATE: &str = "vcard-temp:x:update";
/// Delivery receipts (XEP-0184).
pub const RECEIPTS: &str = "urn:xmpp:receipts";
/// Blocking (XEP-0191).
pub const BLOCKING: &str = "urn:xmpp:blocking";
/// Blocking errors (XEP-0191).
pub const BLOCKING_ERRORS: &str = "urn:xmpp:blocking:errors";
/// Stream management (XEP-0198).
pub const SM: &str = "urn:xmpp:sm:3";
/// Ping (XEP-0199).
pub const PING: &str = "urn:xmpp:ping";
/// Entity time (XEP-0202).
pub const TIME: &str = "urn:xmpp:time";
/// Delayed delivery (XEP-0203).
pub const DELAY: &str = "urn:xmpp:delay";
/// Message carbons (XEP-0280).
pub const CARBONS: &str = "urn:xmpp:carbons:2";
/// Stanza forwarding (XEP-0297).
pub const FORWARD: &str = "urn:xmpp:forward:0";
/// Message archive (XEP-0313).
pub const MAM: &str = "urn:xmpp:mam:2";
/// Chat markers (XEP-0333).
pub const CHAT_MARKERS: &str = "urn:xmpp:chat-markers:0";
/// Message processing hints (XEP-0334).
pub const HINTS: &str = "urn:xmpp:hints";
/// Unique and stable stanza identifiers (XEP-0359).
pub const STANZA_ID: &str = "urn:xmpp:sid:0";
/// Last activity (XEP-0012).
pub const LAST_ACTIVITY: &str = "jabber:iq:last";
/// Private XML storage (XEP-0049).
pub const PRIVATE: &str = "jabber:iq:private";
