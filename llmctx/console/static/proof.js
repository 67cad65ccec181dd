"use strict";
/* Recompute the proof of a record in this browser: RFC 6962 hashes, RFC 9162 inclusion, C2SP signed note, Ed25519. */
(() => {
  const box = document.querySelector("[data-proof]");
  const form = box && box.querySelector("form.verify");
  if (!form) return;
  const steps = box.querySelector(".steps");
  const utf8 = new TextEncoder();
  const tell = (good, text) => {
    const line = document.createElement("li");
    line.className = good ? "good" : "bad";
    line.textContent = text;
    steps.append(line);
    return good;
  };
  if (!window.isSecureContext || !crypto.subtle) {
    form.hidden = true;
    tell(false, "This page was not opened over TLS or from this machine, so the browser offers no cryptography here. Use llmctx verify --receipt FILE.");
    return;
  }

  const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const fromHex = (text) => {
    if (!/^(?:[0-9a-f]{2})*$/.test(text)) throw new Error("malformed hex");
    return Uint8Array.from(text.match(/../g) || [], (pair) => parseInt(pair, 16));
  };
  const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const join = (...parts) => {
    const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
    parts.reduce((at, part) => { whole.set(part, at); return at + part.length; }, 0);
    return whole;
  };
  const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", join(...parts)));
  const node = (left, right) => sha256([1], left, right);

  /* RFC 9162, 2.1.3.2 */
  const rootOf = async (leaf, index, size, proof) => {
    let at = BigInt(index), last = BigInt(size) - 1n, hash = leaf;
    if (at > last) throw new Error("the index is not below the size");
    for (const sibling of proof) {
      if (last === 0n) throw new Error("the proof is too long");
      if (at & 1n || at === last) {
        hash = await node(sibling, hash);
        while (!(at & 1n) && at) { at >>= 1n; last >>= 1n; }
      } else {
        hash = await node(hash, sibling);
      }
      at >>= 1n; last >>= 1n;
    }
    if (last !== 0n) throw new Error("the proof is too short");
    return hash;
  };

  const readKey = async (text) => {
    const [name, id, encoded, ...more] = text.trim().split("+");
    const rest = [encoded, ...more].join("+");
    const raw = fromBase64(rest);
    if (!name || raw.length !== 33 || raw[0] !== 1) throw new Error("it is not the vkey of an Ed25519 key");
    const own = (await sha256(utf8.encode(name + "\n"), raw)).slice(0, 4);
    if (hex(own) !== id) throw new Error("its key ID does not belong to name and key");
    return { name, id: own, public: raw.slice(1) };
  };

  const readNote = (note) => {
    const end = note.lastIndexOf("\n\n");
    const text = note.slice(0, end + 1);
    const [origin, size, root] = text.split("\n");
    const signatures = note.slice(end + 2).split("\n").filter(Boolean).map((line) => {
      const [, name, encoded] = /^— (\S+) (\S+)$/.exec(line) || [];
      if (!name) throw new Error("malformed signature line");
      const raw = fromBase64(encoded);
      return { name, id: hex(raw.slice(0, 4)), signature: raw.slice(4) };
    });
    return { text, origin, size, root: fromBase64(root), signatures };
  };

  const kept = (id) => {
    const found = document.getElementById(id);
    return found && JSON.parse(found.textContent);
  };

  /* Every receipt of this page with the leaf hash that the page shows. */
  const receiptsOf = async () => {
    const many = kept("receipts");
    if (many) return many.map((receipt, place) => [receipt, box.dataset.leafHashes.split(" ")[place]]);
    const one = kept("receipt");
    if (one) return [[one, box.dataset.leafHash]];
    const answer = await fetch(box.dataset.receipt);
    if (!answer.ok) throw new Error("there is no receipt yet");
    return [[await answer.json(), box.dataset.leafHash]];
  };

  const evidenceOf = async () => kept("evidence") || (await (await fetch(box.dataset.evidence)).json()).pieces;

  /* What a receipt proves, step by step; throws at the first step that fails. */
  const prove = async (receipt, shown, key) => {
    const said = [];
    const step = (good, text, otherwise) => {
      if (!good) throw new Error(otherwise);
      said.push(text);
    };
    const leaf = await sha256([0], utf8.encode(receipt.leaf));
    step(hex(leaf) === shown, "The record's bytes hash to " + hex(leaf) + ".", "The record's bytes hash to " + hex(leaf) + ", not to the leaf hash above.");
    const note = readNote(receipt.checkpoint);
    const root = await rootOf(leaf, receipt.index, receipt.size, receipt.proof.map(fromHex));
    const same = String(receipt.size) === note.size && hex(root) === hex(note.root);
    step(same, "Record " + receipt.index + " and " + receipt.proof.length + " hashes give the root of the checkpoint over " + note.size + " records.", "The inclusion proof does not lead to the root of the checkpoint.");
    const named = note.origin === receipt.origin && note.origin.startsWith(key.name + "/");
    step(named, "The checkpoint is of " + note.origin + ".", "The checkpoint is of " + note.origin + ", but the key is of " + key.name + ".");
    const mine = note.signatures.filter((each) => each.name === key.name && each.id === hex(key.id));
    step(mine.length, "It is signed by the key " + hex(key.id) + ".", "The checkpoint is not signed by this key.");
    const imported = await crypto.subtle.importKey("raw", key.public, { name: "Ed25519" }, false, ["verify"]);
    const valid = await Promise.all(mine.map((each) => crypto.subtle.verify("Ed25519", imported, each.signature, utf8.encode(note.text))));
    step(valid.every(Boolean), "The Ed25519 signature is valid.", "The signature of the checkpoint is not valid.");
    const record = JSON.parse(receipt.leaf);
    const words = [record.kind, record.symbol, record.verdict.action, "recorded " + new Date(record.recorded_at_ms).toISOString()];
    said.push("The proven record says: " + words.filter(Boolean).join(", ") + ".");
    return [said, record];
  };

  const verify = async (text) => {
    let key;
    try { key = await readKey(text); } catch (error) { return tell(false, "The key cannot be used: " + error.message + "."); }
    const receipts = await receiptsOf();
    for (const [receipt, shown] of receipts) {
      let said, record;
      try {
        [said, record] = await prove(receipt, shown, key);
      } catch (error) {
        const ours = error instanceof DOMException ? "This browser cannot verify Ed25519: use llmctx verify --receipt FILE." : error.message;
        return tell(false, (receipts.length > 1 ? "Record " + receipt.index + ": " : "") + ours);
      }
      if (receipts.length > 1) continue;
      for (const each of said) tell(true, each);
      return checkEvidence(record);
    }
    return tell(true, "All " + receipts.length + " records are in the signed checkpoint.");
  };

  const checkEvidence = async (record) => {
    const parts = { snapshot: "snapshot", messages: "prompt", completion: "completion", foreign: "incident" };
    const pieces = await evidenceOf();
    let count = 0;
    for (const [piece, name] of Object.entries(parts)) {
      const expected = record[name] && record[name].sha256;
      if (!expected) continue;
      if ((box.dataset.erased || "").split(" ").includes(piece)) continue; /* by rule; its digest stays in the record */
      const found = pieces[piece];
      const bytes = typeof found === "string" ? utf8.encode(found) : found && typeof found.base64 === "string" ? fromBase64(found.base64) : null;
      if (!bytes || hex(await sha256(bytes)) !== expected) return tell(false, "The evidence piece " + piece + " does not have the digest in the record.");
      count += 1;
    }
    return tell(true, count + " pieces of evidence have the digests in the record.");
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    steps.replaceChildren();
    let good = false;
    try { good = await verify(form.elements.key.value); } catch (error) { tell(false, "The receipt cannot be read: " + error.message + "."); }
    box.dataset.verified = good ? "yes" : "no";
  });
})();
