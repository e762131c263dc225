//! COSE_Sign1 (RFC 9052, 4.2) with Ed25519, everything of meaning in the protected header.
//!
//! The unprotected header is always empty, so a message has one form and nothing in it
//! is the work of somebody who did not sign (T20).

use super::cbor::{self, CborError, Value};
use crate::keys::{Algorithm, PublicKey, SignError, Signature, Signer};

/// A COSE_Sign1 as it was read; [`Sign1::verify`] says whether a key signed it.
#[derive(Clone)]
pub(super) struct Sign1 {
    protected: Vec<u8>,
    payload: Vec<u8>,
    signature: Signature,
    header: Value,
}

/// The tagged message, signed once and verified.
pub(super) fn sign(
    signer: &dyn Signer,
    header: Vec<(Value, Value)>,
    payload: &Value,
) -> Result<Vec<u8>, SignError> {
    if signer.public_key().algorithm() != Algorithm::Ed25519 {
        return Err(SignError);
    }
    let mut header = header;
    header.push((Value::Integer(ALG), Value::Integer(Algorithm::Ed25519.cose())));
    let protected = cbor::encode(&Value::Map(header));
    let payload = cbor::encode(payload);
    let message = to_be_signed(&protected, &payload);
    let signature = signer.sign(&message)?;
    if !signer.public_key().verify(&message, &signature) {
        return Err(SignError);
    }
    let parts = [
        Value::Bytes(protected),
        Value::Map(Vec::new()),
        Value::Bytes(payload),
        Value::Bytes(signature.into()),
    ];
    Ok(cbor::encode(&Value::Tag(SIGN1_TAG, Box::new(Value::Array(parts.into())))))
}

impl Sign1 {
    /// Reads a tagged message of at most `bytes_max` bytes whose `alg` is EdDSA.
    pub(super) fn parse(bytes: &[u8], bytes_max: usize) -> Result<Self, CborError> {
        let Value::Tag(SIGN1_TAG, message) = cbor::decode(bytes, bytes_max)? else {
            return Err(CborError::Unsupported);
        };
        let Value::Array(parts) = *message else {
            return Err(CborError::Unsupported);
        };
        let [
            Value::Bytes(protected),
            Value::Map(unprotected),
            Value::Bytes(payload),
            Value::Bytes(signature),
        ] = parts.as_slice()
        else {
            return Err(CborError::Unsupported);
        };
        let header = cbor::decode(protected, bytes_max)?;
        let ed25519 = header.entry(ALG).and_then(Value::as_integer) == Some(Algorithm::Ed25519.cose());
        if !unprotected.is_empty() || !ed25519 {
            return Err(CborError::Unsupported);
        }
        let signature = signature.as_slice().try_into().map_err(|_| CborError::Unsupported)?;
        Ok(Self { protected: protected.clone(), payload: payload.clone(), signature, header })
    }

    /// The protected header.
    pub(super) fn header(&self) -> &Value {
        &self.header
    }

    /// The payload's bytes, which anyone may have written until [`Sign1::verify`] says who did.
    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(super) fn verify(&self, key: &PublicKey) -> bool {
        key.algorithm() == Algorithm::Ed25519
            && key.verify(&to_be_signed(&self.protected, &self.payload), &self.signature)
    }
}

/// Sig_structure (RFC 9052, 4.4), without external data.
fn to_be_signed(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    cbor::encode(&Value::Array(vec![
        Value::Text("Signature1".into()),
        Value::Bytes(protected.to_vec()),
        Value::Bytes(Vec::new()),
        Value::Bytes(payload.to_vec()),
    ]))
}

/// COSE header `alg`.
const ALG: i64 = 1;

/// CBOR tag of COSE_Sign1.
const SIGN1_TAG: u64 = 18;
