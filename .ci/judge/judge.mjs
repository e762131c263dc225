// Judges from npm, on what `kabao tour` left in DIR/out.
//
// Usage: node judge.mjs OUT. Each promise has a good case and a tampered one.
//
//   @sd-jwt/sd-jwt-vc         opens the credential, and asks the list for its status
//   @sd-jwt/jwt-status-list   reads the signed status list
//   jsqr, pngjs               read the picture, beside zbar

import { X509Certificate, createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { getListFromStatusListJWT } from "@sd-jwt/jwt-status-list";
import { SDJwtVcInstance } from "@sd-jwt/sd-jwt-vc";
import jsqr from "jsqr";
import { PNG } from "pngjs";

const out = process.argv[2];
const text = (name) => readFileSync(join(out, name), "utf8").trim();
let failed = 0;

async function test(name, holds) {
  let good = false;
  let why = "";
  try {
    good = Boolean(await holds());
  } catch (error) {
    why = `: ${error.message}`;
  }
  if (!good) failed += 1;
  console.log(`${good ? "ok  " : "FAIL"} ${name}${why}`);
}

/** The tampered case: `work` must throw what matches `why`, or be false where that is null. */
const refused = (name, why, work) =>
  test(name, async () => {
    try {
      return (await work()) === false && why === null;
    } catch (error) {
      if (why !== null && why.test(error.message)) return true;
      throw error;
    }
  });

function flip(token, part) {
  const parts = token.split(".");
  const bytes = Buffer.from(parts[part], "base64url");
  bytes[Math.floor(bytes.length / 2)] ^= 1;
  parts[part] = bytes.toString("base64url");
  return parts.join(".");
}

// --- the credential ---

const credential = text("certificate.sd-jwt");
const header = JSON.parse(Buffer.from(credential.split(".")[0], "base64url"));
const leaf = new X509Certificate(Buffer.from(header.x5c[0], "base64"));
const statusKey = createPublicKey({ key: JSON.parse(text("status-key.jwk")), format: "jwk" });
const checked = (key) => (data, signature) => verify(null, Buffer.from(data), key, Buffer.from(signature, "base64url"));

const reader = (list, statusValidator) =>
  new SDJwtVcInstance({
    hasher: (data, algorithm) => createHash(algorithm.replace("-", "")).update(data).digest(),
    hashAlg: "sha-256",
    verifier: checked(leaf.publicKey),
    statusVerifier: checked(statusKey),
    statusListFetcher: async () => list,
    statusValidator,
  });

const mustBeActive = async (status) => {
  if (status !== 0) throw new Error(`status ${status}`);
};

const opened = async (token, list = text("status.jwt"), validator = mustBeActive) =>
  (await reader(list, validator).verify(token)).payload;

// The tour ends with the licence revoked: the list says so, and the signature is still good.
await test("@sd-jwt/sd-jwt-vc: the credential opens, every field in its place", async () => {
  const payload = await opened(credential, text("status.jwt"), async () => {});
  return payload.vct && payload.holder_name && payload.number && payload.status.status_list;
});
await refused("@sd-jwt/sd-jwt-vc: one bit changed in the payload is refused", /signature|verif/i, () =>
  opened(credential.replace(credential.split("~")[0], flip(credential.split("~")[0], 1))),
);
await refused("@sd-jwt/sd-jwt-vc: a status list that is not signed by the status key is refused", /signature|verif/i, () =>
  opened(credential, flip(text("status.jwt"), 2)),
);

// --- the status list ---

const place = JSON.parse(Buffer.from(credential.split("~")[0].split(".")[1], "base64url")).status.status_list;

await test("@sd-jwt/jwt-status-list: the list holds 2^20 slots of 2 bits", () => {
  const token = text("status.jwt");
  const payload = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
  const list = getListFromStatusListJWT(token);
  return payload.status_list.bits === 2 && payload.sub === place.uri && list.getStatus((1 << 20) - 1) === 0;
});
await test("@sd-jwt/jwt-status-list: the slot of the revoked licence says 1, and few others do", () => {
  const list = getListFromStatusListJWT(text("status.jwt"));
  let ended = 0;
  for (let index = 0; index < 1 << 20; index += 1) ended += list.getStatus(index) === 1 ? 1 : 0;
  return list.getStatus(place.idx) === 1 && ended >= 1 && ended < 100;
});
await refused("@sd-jwt/sd-jwt-vc: so the credential is no longer accepted with its status", /status 1/, () =>
  opened(credential),
);
await refused("@sd-jwt/jwt-status-list: a list cut short is refused", /unexpected end|buf|inflat|incorrect|decompress/i, () => {
  const parts = text("status.jwt").split(".");
  const payload = JSON.parse(Buffer.from(parts[1], "base64url"));
  payload.status_list.lst = payload.status_list.lst.slice(0, 40);
  parts[1] = Buffer.from(JSON.stringify(payload)).toString("base64url");
  return getListFromStatusListJWT(parts.join(".")).getStatus((1 << 20) - 1) === 0;
});

// --- the picture ---

function read(change = (image) => image) {
  const image = change(PNG.sync.read(readFileSync(join(out, "code.png"))));
  return jsqr(new Uint8ClampedArray(image.data), image.width, image.height)?.data ?? "";
}

function covered(image) {
  for (let y = Math.floor(image.height / 3); y < (2 * image.height) / 3; y += 1) {
    for (let x = 0; x < image.width; x += 1) image.data.fill(0, (y * image.width + x) * 4, (y * image.width + x) * 4 + 3);
  }
  return image;
}

await test("jsqr: reads the picture of the code", () => read().length > 20);
await refused("jsqr: reads nothing under a bar of ink", null, () => read(covered) !== "");

process.exit(failed ? 1 : 0);
