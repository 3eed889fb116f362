// Keys and tokens: SPEC.md sections 1 and 3. The key never leaves this page.
"use strict";

const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

function base58(bytes) {
  let number = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  let text = "";
  for (; number > 0n; number /= 58n) text = BASE58[Number(number % 58n)] + text;
  for (const byte of bytes) {
    if (byte !== 0) break;
    text = "1" + text;
  }
  return text;
}

const toBinary = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
const fromBinary = (text) => Uint8Array.from(text, (char) => char.charCodeAt(0));
const base64url = (bytes) => btoa(toBinary(bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const utf8 = (text) => new TextEncoder().encode(text);

const cryptoMissing = () => !globalThis.crypto?.subtle
  ? "This browser signs only on pages from https:// or from this machine (127.0.0.1): open the page there, or paste a token."
  : null;

async function keyOf(privateKey) {
  const jwk = await crypto.subtle.exportKey("jwk", privateKey);
  const point = fromBinary(atob(jwk.x.replace(/-/g, "+").replace(/_/g, "/")));
  return { privateKey, did: "did:key:z" + base58([0xed, 0x01, ...point]) };
}

async function newKey() {
  const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"]);
  return keyOf(pair.privateKey);
}

async function readKey(pem) {
  if (pem.includes("ENCRYPTED PRIVATE KEY")) {
    throw new Error("The file is encrypted, and a browser can't open it. Take the encryption off on your machine: openssl pkey -in FILE -out plain.pem");
  }
  const body = pem.match(/-----BEGIN PRIVATE KEY-----([\s\S]+?)-----END PRIVATE KEY-----/);
  if (!body) throw new Error("This is no PKCS#8 key file: it has to start with -----BEGIN PRIVATE KEY-----");
  const der = fromBinary(atob(body[1].replace(/\s/g, "")));
  return keyOf(await crypto.subtle.importKey("pkcs8", der, { name: "Ed25519" }, true, ["sign"]));
}

async function writeKey(key) {
  const der = new Uint8Array(await crypto.subtle.exportKey("pkcs8", key.privateKey));
  const lines = btoa(toBinary(der)).match(/.{1,64}/g).join("\n");
  return `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`;
}

async function signTransaction(key, chain, seq, gas, fee, action) {
  const claims = { iss: key.did, aud: chain, seq, gas, fee, actions: [action] };
  const part = (object) => base64url(utf8(JSON.stringify(object)));
  const input = `${part({ alg: "EdDSA", typ: "JWT" })}.${part(claims)}`;
  const signature = await crypto.subtle.sign({ name: "Ed25519" }, key.privateKey, utf8(input));
  return `${input}.${base64url(new Uint8Array(signature))}`;
}
