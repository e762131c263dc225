//! Writing the few DER structures (X.690) we need ourselves.
//!
//! What is written here is also what [`crate::pki::authority`] expects to read in
//! an x509 that another crate encoded: a second opinion, byte by byte.

use crate::keys::public::PublicKey;
use crate::keys::{Algorithm, Signature};

/// Tag, length, content.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1)..];
    let mut element = vec![tag];
    if content.len() < 0x80 {
        element.extend_from_slice(significant);
    } else {
        let count = u8::try_from(significant.len()).expect("at most eight bytes of length");
        element.push(0x80 | count);
        element.extend_from_slice(significant);
    }
    element.extend_from_slice(content);
    element
}

/// A SEQUENCE of elements.
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, &parts.concat())
}

/// An INTEGER that is not negative, of big-endian bytes.
pub fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let significant = &bytes[start..];
    if significant.first().is_none_or(|byte| *byte >= 0x80) {
        element(INTEGER, &[&[0], significant].concat())
    } else {
        element(INTEGER, significant)
    }
}

/// A BIT STRING of whole bytes.
pub fn bit_string(bytes: &[u8]) -> Vec<u8> {
    element(BIT_STRING, &[&[0], bytes].concat())
}

/// A signature as an x509 carries it: Ed25519 as it is (RFC 8410), ECDSA as `SEQUENCE { r, s }` (RFC 3279).
pub fn signature(algorithm: Algorithm, signature: &Signature) -> Vec<u8> {
    match algorithm {
        Algorithm::Ed25519 => signature.to_vec(),
        Algorithm::P256 => sequence(&[&unsigned(&signature[..32]), &unsigned(&signature[32..])]),
    }
}

/// SubjectPublicKeyInfo (RFC 8410, RFC 5480).
pub fn subject_public_key_info(key: &PublicKey) -> Vec<u8> {
    let algorithm = match key.algorithm() {
        Algorithm::Ed25519 => sequence(&[&element(OBJECT_IDENTIFIER, ED25519)]),
        Algorithm::P256 => {
            sequence(&[&element(OBJECT_IDENTIFIER, EC_PUBLIC_KEY), &element(OBJECT_IDENTIFIER, PRIME256V1)])
        }
    };
    sequence(&[&algorithm, &bit_string(key.as_bytes())])
}

/// The content of the OID that names signatures of this algorithm.
pub const fn signature_oid(algorithm: Algorithm) -> &'static [u8] {
    match algorithm {
        Algorithm::Ed25519 => ED25519,
        Algorithm::P256 => ECDSA_WITH_SHA256,
    }
}

/// Tag of BOOLEAN.
pub const BOOLEAN: u8 = 0x01;
/// Tag of INTEGER.
pub const INTEGER: u8 = 0x02;
/// Tag of BIT STRING.
pub const BIT_STRING: u8 = 0x03;
/// Tag of OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// Tag of OBJECT IDENTIFIER.
pub const OBJECT_IDENTIFIER: u8 = 0x06;
/// Tag of SEQUENCE.
pub const SEQUENCE: u8 = 0x30;

/// 1.3.101.112
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// 1.2.840.10045.2.1
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.10045.3.1.7
const PRIME256V1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.2.840.10045.4.3.2
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_their_shortest_form() {
        for (length, head) in [
            (0, &[0x30, 0x00][..]),
            (1, &[0x30, 0x01]),
            (127, &[0x30, 0x7f]),
            (128, &[0x30, 0x81, 0x80]),
            (255, &[0x30, 0x81, 0xff]),
            (256, &[0x30, 0x82, 0x01, 0x00]),
            (65536, &[0x30, 0x83, 0x01, 0x00, 0x00]),
        ] {
            let element = element(SEQUENCE, &vec![0; length]);
            assert_eq!(&element[..head.len()], head, "{length}");
            assert_eq!(element.len(), head.len() + length);
        }
    }

    #[test]
    fn integers_are_minimal_and_never_negative() {
        for (bytes, expected) in [
            (&[][..], &[0x02, 0x01, 0x00][..]),
            (&[0, 0], &[0x02, 0x01, 0x00]),
            (&[0, 1], &[0x02, 0x01, 0x01]),
            (&[0x7f], &[0x02, 0x01, 0x7f]),
            (&[0x80], &[0x02, 0x02, 0x00, 0x80]),
            (&[0, 0xff, 1], &[0x02, 0x03, 0x00, 0xff, 0x01]),
        ] {
            assert_eq!(unsigned(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn an_ecdsa_signature_in_der_verifies_elsewhere() {
        use crate::keys::Signer;
        use crate::keys::random::SystemRandom;
        use crate::keys::soft::SoftSigner;

        let (signer, _) = SoftSigner::generate(Algorithm::P256, &SystemRandom::new()).unwrap();
        let key = signer.public_key().as_bytes();
        let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_ASN1, key);
        // Enough to meet leading zeros and high bits in both halves.
        for message in 0..300u32 {
            let message = message.to_be_bytes();
            let signature = signature(Algorithm::P256, &signer.sign(&message).unwrap());
            assert!(key.verify(&message, &signature).is_ok());
        }
    }
}
