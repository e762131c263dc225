"""Judges from PyPI, OpenSSL and zbar, on what `kabao tour` left in DIR/out.

Usage: judge.py OUT. Each promise has a good case and a tampered one. None of the
judges shares code with kabao.

  sd-jwt              opens the credential under the key of its x5c
  openssl             holds that x5c against the root
  cwt, base45, cbor2  open the offline code, and the show key's own certificate
  zbar                reads the picture of the offline code, as it is and as a bad camera sees it
  PyJWT, cryptography check receipt, trust bundle and the log's signed note
"""

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import base45
import cbor2
import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cwt import COSE, COSEKey, VerifyError
from jwcrypto.jwk import JWK
from jwcrypto.jws import InvalidJWSSignature
from PIL import Image, ImageFilter
from sd_jwt.verifier import SDJWTVerifier

OUT = Path(sys.argv[1])
SHOW_KEY_LABEL = -65537
failed = 0


def case(name, holds):
    """One case: `holds` is called and must be true; what it raises is told."""
    global failed
    try:
        good, why = bool(holds()), ""
    except Exception as error:  # a judge may refuse in any way it likes
        good, why = False, f": {type(error).__name__}: {error}"
    if not good:
        failed += 1
    print(f"{'ok  ' if good else 'FAIL'} {name}{why}", flush=True)


def refused(name, why, work):
    """One tampered case: `work` must end as `why` says, `False` or an exception, and in no other way."""

    def holds():
        try:
            return work() is why
        except Exception as error:
            if why is not False and isinstance(error, why):
                return True
            raise

    case(name, holds)


def text(name):
    return (OUT / name).read_text().strip()


def b64(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def unb64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def flip(token, part):
    """A compact token with one bit changed in one of its parts."""
    parts = token.split(".")
    data = bytearray(b64(parts[part]))
    data[len(data) // 2] ^= 1
    parts[part] = unb64(bytes(data))
    return ".".join(parts)


# --- the chain, by OpenSSL ---

def pems(path):
    return x509.load_pem_x509_certificates(Path(path).read_bytes())


def openssl_verify(chain, root):
    with tempfile.TemporaryDirectory() as folder:
        leaf, above = Path(folder, "leaf.pem"), Path(folder, "above.pem")
        pem = [c.public_bytes(Encoding.PEM) for c in chain]
        leaf.write_bytes(pem[0])
        above.write_bytes(b"".join(pem[1:]))
        command = ["openssl", "verify", "-x509_strict", "-check_ss_sig", "-CAfile", str(root)]
        command += ["-untrusted", str(above), str(leaf)]
        return subprocess.run(command, capture_output=True, text=True).returncode == 0


def chain_in_file():
    return [c for c in pems(OUT / "issuer-chain.pem") if c.issuer != c.subject]


def chain_in_credential():
    header = json.loads(b64(text("certificate.sd-jwt").split("~")[0].split(".")[0]))
    return [x509.load_der_x509_certificate(base64.b64decode(der)) for der in header["x5c"]]


def other_root(folder):
    path = Path(folder, "other.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj", "/C=CN/CN=Other"]
    subprocess.run(command + ["-keyout", str(Path(folder, "key.pem")), "-out", str(path)], capture_output=True, check=True)
    return path


def tampered_chain():
    """The leaf's name changed by one bit, its signature kept."""
    chain = chain_in_file()
    der = bytearray(chain[0].public_bytes(Encoding.DER))
    place = der.find("USCC:".encode()) + 6
    der[place] ^= 1
    return [x509.load_der_x509_certificate(bytes(der))] + chain[1:]


case("openssl: the department's chain stands under the root", lambda: openssl_verify(chain_in_file(), OUT / "root.pem"))
case("openssl: so does the chain inside the credential", lambda: openssl_verify(chain_in_credential(), OUT / "root.pem"))
refused("openssl: a leaf with one bit changed does not", False, lambda: openssl_verify(tampered_chain(), OUT / "root.pem"))
with tempfile.TemporaryDirectory() as folder:
    another = other_root(folder)
    refused("openssl: nor does the chain under another root", False, lambda: openssl_verify(chain_in_file(), another))


# --- the credential, by sd-jwt ---

def open_credential(credential):
    def key(issuer, header=None):
        leaf = chain_in_credential()[0].public_key()
        return JWK.from_pyca(leaf)

    return SDJWTVerifier(credential, key).get_verified_payload()


def credential_with(change):
    parts = text("certificate.sd-jwt").split("~")
    change(parts)
    return "~".join(parts)


def all_is_there():
    payload = open_credential(text("certificate.sd-jwt"))
    must = ["iss", "vct", "status", "identifier", "holder_name", "number"]
    return all(name in payload for name in must) and "_sd" not in payload


def one_field_only():
    """With one disclosure, one field."""
    parts = text("certificate.sd-jwt").split("~")
    one = next(p for p in parts[1:] if p and json.loads(b64(p))[1] == "holder_name")
    payload = open_credential(f"{parts[0]}~{one}~")
    return "holder_name" in payload and "number" not in payload and "identifier" not in payload


def change_jwt(parts):
    parts[0] = flip(parts[0], 1)


def change_disclosure(parts):
    salt, name, _ = json.loads(b64(parts[1]))
    parts[1] = unb64(json.dumps([salt, name, "another"]).encode())


def double_disclosure(parts):
    parts.insert(1, parts[1])


case("sd-jwt: the credential opens, every field in its place", all_is_there)
case("sd-jwt: with one disclosure it tells one field", one_field_only)
refused("sd-jwt: a payload with one bit changed is refused", InvalidJWSSignature, lambda: open_credential(credential_with(change_jwt)))


def tampered_value_is_not_believed():
    payload = open_credential(credential_with(change_disclosure))
    return "another" in payload.values()


refused("sd-jwt: a value that the issuer did not sign is not told", False, tampered_value_is_not_believed)
refused("sd-jwt: a disclosure that stands there twice is refused", ValueError, lambda: open_credential(credential_with(double_disclosure)))


# --- the offline code, by cwt, base45, cbor2 ---

def unpack(code):
    assert code.startswith("KB1:")
    raw = base45.b45decode(code[4:])
    return zlib.decompress(raw) if raw[0] == 0x78 else raw


def pack(raw):
    return "KB1:" + base45.b45encode(raw).decode()


def okp(x):
    return COSEKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": x})


def open_offline(code, x=None):
    key = okp(x or json.loads(text("show-key.json"))["x"])
    return cbor2.loads(COSE.new().decode(unpack(code), [key]))


def offline_is_whole():
    payload = open_offline(text("offline.txt"))
    issued, expires = payload[6], payload[4]
    return 0 < expires - issued <= 300 and payload[-2][2] == 0 and 1 in payload[-3]


def show_key_is_certified():
    """The code carries a CWT for the show key, signed by the show authority of the trust bundle."""
    header = cbor2.loads(cbor2.loads(unpack(text("offline.txt"))).value[0])
    certificate = header[SHOW_KEY_LABEL]
    authority = json.loads(b64(text("trust.jwt").split(".")[1]))["show_authority_keys"][0]
    authority = authority.get("jwk", authority)
    inner = cbor2.loads(certificate)
    kid = cbor2.loads(inner.value[0])[4]
    key = COSEKey.new({1: 1, -1: 6, 3: -8, 2: kid, -2: b64(authority["x"])})
    claims = cbor2.loads(COSE.new().decode(certificate, [key]))
    certified = claims[8][1][-2]
    within = claims[5] <= open_offline(text("offline.txt"))[6] < claims[4]
    return len(certificate) <= 150 and certified == b64(json.loads(text("show-key.json"))["x"]) and within


def offline_tampered():
    raw = bytearray(unpack(text("offline.txt")))
    message = cbor2.loads(bytes(raw))
    payload = cbor2.loads(message.value[2])
    payload[4] += 3600
    parts = list(message.value)
    parts[2] = cbor2.dumps(payload)
    return pack(cbor2.dumps(cbor2.CBORTag(18, parts)))


case("cwt, base45: the offline code opens and is as long as it says", offline_is_whole)
case("cwt: its show key is certified by the show authority", show_key_is_certified)
refused("cwt: a code that gives itself an hour more is refused", VerifyError, lambda: open_offline(offline_tampered()))
refused("cwt: so is the same code under another key", VerifyError, lambda: open_offline(text("offline.txt"), unb64(hashlib.sha256(b"x").digest())))


# --- the picture, by zbar ---

def zbar(picture):
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        picture.save(file.name)
        command = ["zbarimg", "--quiet", "--raw", "--oneshot", "-Sdisable", "-Sqrcode.enable", file.name]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def picture(name):
    """The code with eight pixels to a module at least, as it is printed or held before a camera."""
    found = Image.open(OUT / name).convert("L")
    row = [found.getpixel((x, found.height // 2)) < 128 for x in range(found.width)]
    runs, length = [], 1
    for before, now in zip(row, row[1:]):
        length = length + 1 if before == now else (runs.append(length) or 1)
    scale = -(-8 // min(runs)) if runs else 1
    return found.resize((found.width * scale, found.height * scale), Image.NEAREST)


def of_a_third_of_the_contrast(image):
    return image.point(lambda grey: 85 + grey // 3)


def overprinted(image):
    """A bar of ink over the middle: more than level M can mend."""
    image = image.copy()
    bar = Image.new("L", (image.width, image.height // 3), 0)
    image.paste(bar, (0, image.height // 3))
    return image


def is_shown(read):
    """An online code is an address of ours, all in capitals."""
    return read.startswith("HTTP") and "/S/" in read and read == read.upper() and len(read.split("/S/")[1]) >= 26


for name, file, holds in [
    ("online", "code.png", is_shown),
    ("offline", "offline.png", lambda read: read == text("offline.txt")),
]:
    if not (OUT / file).exists():
        continue
    code = picture(file)
    for how, image in [
        ("", code),
        (" blurred", code.filter(ImageFilter.GaussianBlur(2))),
        (" turned by 15 degrees", code.rotate(15, expand=True, fillcolor=255, resample=Image.BICUBIC)),
        (" at a third of the contrast", of_a_third_of_the_contrast(code)),
    ]:
        case(f"zbar: reads the {name} code{how}", lambda: holds(zbar(image)))
    case(f"zbar: reads nothing of the {name} code under a bar of ink", lambda: zbar(overprinted(code)) == "")


# --- receipt, trust bundle, signed note, by PyJWT and cryptography ---

def open_token(token, key, typ):
    header = jwt.get_unverified_header(token)
    assert header["alg"] == "EdDSA" and header["typ"] == typ
    return jwt.decode(token, jwt.PyJWK(key), algorithms=["EdDSA"], options={"verify_aud": False})


def receipt_key():
    key = json.loads(text("receipt-key.jwk"))
    return {**key, "alg": "EdDSA"}


def receipt_is_whole():
    receipt = open_token(text("receipt.jws"), receipt_key(), "kabao-receipt+jwt")
    told = json.dumps(receipt, ensure_ascii=False)
    names = json.loads(b64(next(p for p in text("certificate.sd-jwt").split("~")[1:] if p and json.loads(b64(p))[1] == "holder_name")))
    return receipt["items"] and receipt["case"] and receipt["log"]["size"] > 0 and str(names[2]) not in told


case("PyJWT: the receipt is signed by the receipt key, and tells no values", receipt_is_whole)
refused("PyJWT: a receipt with one bit changed is refused", jwt.InvalidSignatureError, lambda: open_token(flip(text("receipt.jws"), 1), receipt_key(), "kabao-receipt+jwt"))


def trust_key():
    header = jwt.get_unverified_header(text("trust.jwt"))
    leaf = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
    return leaf.public_key()


def trust_is_whole(token):
    bundle = jwt.decode(token, trust_key(), algorithms=["EdDSA"], options={"verify_aud": False})
    header = jwt.get_unverified_header(text("trust.jwt"))
    chain = [x509.load_der_x509_certificate(base64.b64decode(der)) for der in header["x5c"]]
    keys = bundle["receipt_keys"], bundle["status_keys"], bundle["issuers"]
    return all(keys) and openssl_verify(chain_to(chain), OUT / "root.pem")


def chain_to(chain):
    """The authority above the trust key, where the bundle left it out."""
    return chain if len(chain) > 1 else chain + chain_in_file()[1:]


case("PyJWT, openssl: the trust bundle is signed under the root", lambda: trust_is_whole(text("trust.jwt")))
refused("PyJWT: a trust bundle with one bit changed is refused", jwt.InvalidSignatureError, lambda: trust_is_whole(flip(text("trust.jwt"), 1)))


def note_is_signed(note):
    """C2SP signed-note: name, key id, Ed25519 over the text up to the empty line."""
    name, key_id, key = text("log.vkey").split("+", 2)
    key = base64.b64decode(key)
    assert key[0] == 1 and hashlib.sha256(name.encode() + b"\n" + key).digest()[:4].hex() == key_id
    body, signatures = note.split("\n\n", 1)
    for line in signatures.splitlines():
        _, signer, signature = line.split(" ")
        signature = base64.b64decode(signature)
        if signer == name and signature[:4].hex() == key_id:
            Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature[4:], (body + "\n").encode())
            origin, size, root = body.split("\n")[:3]
            return origin == name and int(size) > 0 and len(base64.b64decode(root)) == 32
    return False


def note(change=0):
    lines = (OUT / "checkpoint").read_text().split("\n")
    lines[1] = str(int(lines[1]) + change)
    return "\n".join(lines)


case("cryptography: the log's checkpoint is signed by the log key", lambda: note_is_signed(note()))
refused("cryptography: a checkpoint that counts one entry more is refused", InvalidSignature, lambda: note_is_signed(note(1)))

sys.exit(1 if failed else 0)
