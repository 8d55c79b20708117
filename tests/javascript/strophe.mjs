// strophe.js: node --import ./loopback.mjs strophe.mjs SETTINGS, where SETTINGS.service is wss:// or https:// (BOSH).
import XMLHttpRequest from "xhr2";
import { Strophe } from "strophe.js";
import { Inbox, inTime, meet, settings } from "./conversation.mjs";

// Strophe reads the document only, which the library leaves out.
globalThis.XMLHttpRequest = class extends XMLHttpRequest {
  get responseXML() {
    return this.responseText ? new DOMParser().parseFromString(this.responseText, "text/xml") : null;
  }

  set responseXML(_document) {}
};

const ELEMENT = 1;

const elements = (node) => Array.from(node.childNodes).filter((child) => child.nodeType === ELEMENT);

const plain = (element) => ({
  name: element.localName,
  xmlns: element.namespaceURI,
  attributes: Object.fromEntries(Array.from(element.attributes).map(({ name, value }) => [name, value])),
  children: elements(element).map(plain),
  text: element.textContent,
});

// Strophe sends a stanza as it is: without its namespace it would be none.
const parse = (text) =>
  new DOMParser().parseFromString(text.replace(/^<\w+/, `$& xmlns="${Strophe.NS.CLIENT}"`), "text/xml").documentElement;

function logIn(username) {
  const connection = new Strophe.Connection(settings.service);
  const inbox = new Inbox();
  let ended;
  const end = new Promise((resolve) => { ended = resolve; });
  const login = new Promise((resolve, reject) => {
    connection.connect(`${username}@${settings.domain}/javascript`, settings[username], (status, condition) => {
      if (status === Strophe.Status.CONNECTED) resolve();
      if (status === Strophe.Status.DISCONNECTED) ended();
      if ([Strophe.Status.CONNFAIL, Strophe.Status.AUTHFAIL, Strophe.Status.ERROR].includes(status)) {
        reject(new Error(`${username} could not log in: ${condition}`));
      }
    });
  });
  return inTime(login, `the login of ${username}`).then(() => {
    connection.addHandler((stanza) => {
      inbox.put(plain(stanza));
      return true;
    });
    return {
      jid: connection.jid,
      iq: (text) => new Promise((resolve, reject) => {
        const failed = (answer) => reject(new Error(`${text}: ${answer ? answer.outerHTML ?? answer : "no answer"}`));
        connection.sendIQ(parse(text), (answer) => resolve(plain(answer).children), failed, 60_000);
      }),
      send: (text) => connection.send(parse(text)),
      next: (test, what) => inbox.next(test, what),
      end: () => {
        connection.disconnect("done");
        return inTime(end, "the end of the session");
      },
    };
  });
}

await meet(await logIn("anna"), await logIn("ben"));
// Strophe keeps timers that would hold the process.
process.exit(0);
