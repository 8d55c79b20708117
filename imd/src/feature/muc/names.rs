//! Namespace names of rooms, each with the specification that defines it.

/// Lists of affiliations and roles (XEP-0045 §9).
pub const ADMIN: &str = "http://jabber.org/protocol/muc#admin";
/// Configuration and destruction (XEP-0045 §10).
pub const OWNER: &str = "http://jabber.org/protocol/muc#owner";
/// `FORM_TYPE` of the configuration (XEP-0045 §15.5.3).
pub const ROOM_CONFIG: &str = "http://jabber.org/protocol/muc#roomconfig";
/// `FORM_TYPE` of a room's disco#info (XEP-0045 §15.5.4).
pub const ROOM_INFO: &str = "http://jabber.org/protocol/muc#roominfo";
/// `FORM_TYPE` of a request for voice (XEP-0045 §15.5.2).
pub const REQUEST: &str = "http://jabber.org/protocol/muc#request";
/// `FORM_TYPE` of a registration (XEP-0045 §15.5.1).
pub const REGISTER_FORM: &str = "http://jabber.org/protocol/muc#register";
/// Unique room names (XEP-0045 §10.1.4 up to version 1.24; XEP-0307).
pub const UNIQUE: &str = "http://jabber.org/protocol/muc#unique";
/// Messages keep their id on the way through a room (XEP-0045 §16.4).
pub const STABLE_ID: &str = "http://jabber.org/protocol/muc#stable_id";
/// A ping to oneself answers whether one is still in the room (XEP-0410 §4).
pub const SELF_PING: &str = "http://jabber.org/protocol/muc#self-ping-optimization";
/// The form by which room names and other facts travel (XEP-0045 §6.4 node).
pub const RESERVED_NICK: &str = "x-roomuser-item";
/// The extensions that a room lets pass (XEP-0045 §6.5 node).
pub const TRAFFIC: &str = "http://jabber.org/protocol/muc#traffic";
/// Direct invitations (XEP-0249).
pub const CONFERENCE: &str = "jabber:x:conference";
/// In-band registration (XEP-0077), here of nicknames.
pub const REGISTER: &str = "jabber:iq:register";
/// Occupant ids (XEP-0421).
pub const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";
/// Moderated retraction (XEP-0425).
pub const MODERATE: &str = "urn:xmpp:message-moderate:1";
/// Retraction (XEP-0424).
pub const RETRACT: &str = "urn:xmpp:message-retract:1";
/// Tombstones are kept (XEP-0424 §5).
pub const RETRACT_TOMBSTONE: &str = "urn:xmpp:message-retract:1#tombstone";
/// Hats (XEP-0317).
pub const HATS: &str = "urn:xmpp:hats:0";
