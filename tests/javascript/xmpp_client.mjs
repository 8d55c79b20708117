// @xmpp/client: node --import ./loopback.mjs xmpp_client.mjs SETTINGS, where SETTINGS.service is xmpp://, xmpps:// or wss://.
import { client } from "@xmpp/client";
import parse from "@xmpp/xml/lib/parse.js";
import WebSocket from "ws";
import { Inbox, inTime, meet, settings } from "./conversation.mjs";

// Node has a WebSocket of its own only since version 22.
globalThis.WebSocket = WebSocket;

const plain = (element) => ({
  name: element.name,
  xmlns: element.attrs.xmlns,
  attributes: element.attrs,
  children: element.getChildElements().map(plain),
  text: element.text(),
});

async function logIn(username) {
  const { service, domain } = settings;
  const xmpp = client({ service, domain, username, password: settings[username], resource: "javascript" });
  // It gives a step of the negotiation two seconds, which a busy computer may need for TLS alone.
  xmpp.timeout = 60_000;
  // It begins to listen for an answer only when the socket says that the question is written, and misses one that comes
  // before that: here it listens at once.
  const write = xmpp.write.bind(xmpp);
  xmpp.write = (data) => {
    write(data).catch((error) => xmpp.emit("error", error));
    return Promise.resolve();
  };
  const inbox = new Inbox();
  xmpp.on("stanza", (stanza) => inbox.put(plain(stanza)));
  const failed = new Promise((_, reject) => xmpp.on("error", reject));
  const jid = await inTime(Promise.race([xmpp.start(), failed]), `the login of ${username}`);
  return {
    jid: jid.toString(),
    iq: async (text) => {
      const result = plain(await inTime(xmpp.iqCaller.request(parse(text)), `an answer to ${text}`));
      return result.children;
    },
    send: (text) => xmpp.send(parse(text)),
    next: (test, what) => inbox.next(test, what),
    end: () => inTime(xmpp.stop(), "the end of the stream"),
  };
}

await meet(await logIn("anna"), await logIn("ben"));
