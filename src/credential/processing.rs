//! From the signed payload and the disclosures to the claims (RFC 9901, 7.1).
//!
//! Every place where the RFC says "MUST be rejected" is an [`SdJwtError`] here. Claims
//! are checked for validity only afterwards, on what this returns, so that no
//! disclosure can slip a second `exp` in behind the check.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::disclosure::{Disclosure, RESERVED};
use super::json::DEPTH_MAX;
use super::sd_jwt::SdJwtError;

/// The claims a verifier may use: what stands in the clear and what was disclosed.
///
/// # Errors
/// [`SdJwtError`], one variant for each rule.
pub(super) fn process(
    mut payload: Map<String, Value>,
    disclosures: &[Disclosure],
) -> Result<Map<String, Value>, SdJwtError> {
    match payload.remove("_sd_alg") {
        None => {}
        Some(Value::String(algorithm)) if algorithm == HASH_ALGORITHM => {}
        Some(_) => return Err(SdJwtError::HashAlgorithm),
    }
    let mut by_digest = BTreeMap::new();
    for disclosure in disclosures {
        if by_digest.insert(disclosure.digest(), disclosure).is_some() {
            return Err(SdJwtError::DuplicateDisclosure);
        }
    }
    let mut processing = Processing { by_digest, seen: BTreeSet::new(), used: 0 };
    let claims = processing.object(payload, 0)?;
    if processing.used != processing.by_digest.len() {
        return Err(SdJwtError::UnreferencedDisclosure);
    }
    Ok(claims)
}

struct Processing<'a> {
    by_digest: BTreeMap<String, &'a Disclosure>,
    /// Every digest met so far, disclosed or not.
    seen: BTreeSet<String>,
    used: usize,
}

impl<'a> Processing<'a> {
    /// Disclosures inside disclosures could nest far deeper than one JSON text may, so depth is counted across them.
    fn value(&mut self, value: Value, depth: usize) -> Result<Value, SdJwtError> {
        if depth > DEPTH_MAX {
            return Err(SdJwtError::Deep);
        }
        match value {
            Value::Array(items) => self.array(items, depth).map(Value::Array),
            Value::Object(members) => self.object(members, depth).map(Value::Object),
            scalar => Ok(scalar),
        }
    }

    /// `depth` 0 is the payload itself.
    fn object(
        &mut self,
        members: Map<String, Value>,
        depth: usize,
    ) -> Result<Map<String, Value>, SdJwtError> {
        let mut claims = Map::new();
        let mut digests = Vec::new();
        for (key, value) in members {
            if key == "_sd" {
                let Value::Array(items) = value else {
                    return Err(SdJwtError::Digests);
                };
                digests = items;
            } else if RESERVED.contains(&key.as_str()) {
                // `_sd_alg` below the top, or `...` outside an array.
                return Err(SdJwtError::ReservedName);
            } else {
                let value = self.value(value, depth + 1)?;
                claims.insert(key, value);
            }
        }
        for digest in digests {
            let Some(disclosure) = self.look_up(digest)? else {
                continue;
            };
            let key = disclosure.key().ok_or(SdJwtError::Elements)?;
            if claims.contains_key(key) {
                return Err(SdJwtError::ClaimExists);
            }
            if depth == 0 && IN_THE_CLEAR.contains(&key) {
                return Err(SdJwtError::MustStandInTheClear);
            }
            let value = self.value(disclosure.expose().clone(), depth + 1)?;
            claims.insert(key.to_owned(), value);
        }
        Ok(claims)
    }

    fn array(&mut self, items: Vec<Value>, depth: usize) -> Result<Vec<Value>, SdJwtError> {
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Value::Object(mut members) if members.len() == 1 && members.contains_key("...") => {
                    let digest = members.remove("...").unwrap_or_default();
                    if let Some(disclosure) = self.look_up(digest)? {
                        if disclosure.key().is_some() {
                            return Err(SdJwtError::Elements);
                        }
                        values.push(self.value(disclosure.expose().clone(), depth + 1)?);
                    }
                }
                item => values.push(self.value(item, depth + 1)?),
            }
        }
        Ok(values)
    }

    /// The disclosure of a digest; `None` for one that was kept back.
    fn look_up(&mut self, digest: Value) -> Result<Option<&'a Disclosure>, SdJwtError> {
        let Value::String(digest) = digest else {
            return Err(SdJwtError::Digests);
        };
        let disclosure = self.by_digest.get(&digest).copied();
        if !self.seen.insert(digest) {
            return Err(SdJwtError::DuplicateDigest);
        }
        self.used += usize::from(disclosure.is_some());
        Ok(disclosure)
    }
}

/// The one digest we make and take (RFC 9901, 4.1.1).
pub(super) const HASH_ALGORITHM: &str = "sha-256";

/// Claims that a holder must not be able to keep back (SD-JWT VC; `aud`, `iat`, `jti`, `nonce` and `sub` by our own choice).
pub(super) const IN_THE_CLEAR: [&str; 12] =
    ["aud", "cnf", "exp", "iat", "iss", "jti", "nbf", "nonce", "status", "sub", "vct", "vct#integrity"];
