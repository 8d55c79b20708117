// What the libraries' scripts share: settings, awaiting with a deadline, and the conversation that each has to hold.
//
// A script makes `Person` objects for it:
//   jid            the full address
//   iq(element)    send an IQ, resolve with the child elements of its result
//   send(text)     send serialised XML
//   next(test)     the next stanza for which `test` holds, among all that came and come
//   end()          close the stream in order
// Elements are plain objects: { name, xmlns, attributes, children, text }.
import assert from "node:assert/strict";

export const settings = JSON.parse(process.argv[2]);
const DEADLINE = 60_000;

/** Reject when a promise takes too long. */
export async function inTime(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${DEADLINE} ms for ${what}`)), DEADLINE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Stanzas that have come, and those who wait for one. */
export class Inbox {
  #stanzas = [];
  #waiting = [];

  put(stanza) {
    const waiting = this.#waiting.findIndex(({ test }) => test(stanza));
    if (waiting < 0) this.#stanzas.push(stanza);
    else this.#waiting.splice(waiting, 1)[0].resolve(stanza);
  }

  next(test, what) {
    const found = this.#stanzas.findIndex(test);
    if (found >= 0) return Promise.resolve(this.#stanzas.splice(found, 1)[0]);
    return inTime(new Promise((resolve) => this.#waiting.push({ test, resolve })), what);
  }
}

/** The first child element of a name. */
export const child = (element, name) => element.children.find((c) => c.name === name);

const bare = (jid) => jid.split("/")[0];
const isMessage = (text) => (stanza) => stanza.name === "message" && child(stanza, "body")?.text === text;

async function contacts(person, other) {
  const [query] = await person.iq(`<iq type="get"><query xmlns="jabber:iq:roster"/></iq>`);
  assert.equal(query.name, "query");
  assert.deepEqual(query.children, []);
  await person.iq(
    `<iq type="set"><query xmlns="jabber:iq:roster"><item jid="${bare(other.jid)}" name="The other &amp; only"/></query></iq>`,
  );
  const push = await person.next((s) => s.name === "iq" && s.attributes.type === "set", "the roster push");
  assert.equal(push.children[0].children[0].attributes.name, "The other & only");
  const [again] = await person.iq(`<iq type="get"><query xmlns="jabber:iq:roster"/></iq>`);
  assert.deepEqual(again.children.map((item) => item.attributes.jid), [bare(other.jid)]);
}

/** The bodies in somebody's archive, and who sent them. */
async function archive(person) {
  const query = `q${Math.random().toString(36).slice(2)}`;
  const done = person.iq(`<iq type="set"><query xmlns="urn:xmpp:mam:2" queryid="${query}"/></iq>`);
  const [fin] = await done;
  assert.equal(fin.name, "fin");
  assert.equal(fin.attributes.complete, "true");
  const count = Number(child(child(fin, "set"), "count").text);
  const found = [];
  for (let i = 0; i < count; i += 1) {
    const result = (stanza) => stanza.name === "message" && child(stanza, "result")?.attributes.queryid === query;
    const stanza = await person.next(result, `result ${i + 1} of ${count} of the archive`);
    const message = child(child(child(stanza, "result"), "forwarded"), "message");
    found.push([bare(message.attributes.from), child(message, "body").text]);
  }
  return found;
}

/** Two people who have just logged in: contacts, messages both ways, and the same in both archives. */
export async function meet(anna, ben) {
  await contacts(anna, ben);
  await anna.send("<presence/>");
  await ben.send("<presence/>");
  // Their own presence comes back when they can be reached.
  for (const person of [anna, ben]) {
    await person.next((s) => s.name === "presence" && s.attributes.from === person.jid, "one's own presence");
  }
  const [question, answer] = ["Grüezi 👋 <&>", "你好"];
  const escaped = question.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  await anna.send(`<message type="chat" to="${bare(ben.jid)}"><body>${escaped}</body></message>`);
  const asked = await ben.next(isMessage(question), "the question");
  assert.equal(asked.attributes.from, anna.jid);
  await ben.send(`<message type="chat" to="${asked.attributes.from}"><body>${answer}</body></message>`);
  const answered = await anna.next(isMessage(answer), "the answer");
  assert.equal(answered.attributes.from, ben.jid);
  for (const person of [anna, ben]) {
    // A message is delivered before the disk has it, and is in the archive for whoever asks next all the same.
    const found = await archive(person);
    assert.deepEqual(found, [[bare(anna.jid), question], [bare(ben.jid), answer]]);
  }
  await anna.end();
  await ben.end();
}
