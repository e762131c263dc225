//! One key file, and what it says about its key.
//!
//! ```json
//! { "kabao_key": 1, "purpose": "log", "algorithm": "ed25519", "kid": "…", "owner": null, "version": 1,
//!   "created": "…Z", "not_before": "…Z", "not_after": "…Z", "retired": null, "development": false,
//!   "signs_max": null, "public": { jwk }, "kdf": { argon2id }, "sealed": "…" }
//! ```
//!
//! `sealed` is the private key under the store's key. Every other member that
//! matters is additional data of that seal.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::domain::time::UnixTime;
use crate::keys::Algorithm;
use crate::keys::development::{self, Development};
use crate::keys::envelope::{self, SecretKey};
use crate::keys::public::PublicKey;
use crate::keys::purpose::{Kind, Purpose};
use crate::keys::random::Random;
use crate::keys::soft::error::KeyStoreError;
use crate::keys::soft::passphrase::Derivation;

/// What is known of a key without its secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyInfo {
    /// RFC 7638 thumbprint of the public key; a random name for a secret.
    pub kid: String,
    /// What it is for.
    pub purpose: Purpose,
    /// The public half; `None` for a secret.
    pub public: Option<PublicKey>,
    /// Whose it is: a department's USCC, a client's id; `None` for the operator's own.
    pub owner: Option<String>,
    /// Counts the keys of one purpose, owner and algorithm, from 1.
    pub version: u32,
    /// When it was made.
    pub created: UnixTime,
    /// It signs from here.
    pub not_before: UnixTime,
    /// It signs until here, this instant excluded. What it signed before stays good.
    pub not_after: UnixTime,
    /// Since when it signs no more, whatever the time says.
    pub retired: Option<UnixTime>,
    /// Whether it is for development only.
    pub development: Development,
    /// How many signatures it may make between two openings of the store.
    pub signs_max: Option<u64>,
}

impl KeyInfo {
    /// The algorithm it signs with; `None` for a secret.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.public.as_ref().map(PublicKey::algorithm)
    }

    /// Whether it may sign at this instant.
    #[must_use]
    pub fn signs_at(&self, at: UnixTime) -> bool {
        self.retired.is_none() && self.not_before <= at && at < self.not_after
    }

    /// Whether it is marked for development or is one of the published development keys.
    #[must_use]
    pub fn is_for_development(&self) -> bool {
        self.development == Development::Yes || development::knows(&self.kid)
    }

    pub(super) fn file_name(&self) -> String {
        let kid8: String = self.kid.chars().take(8).collect();
        format!("{}-{kid8}.json", self.purpose)
    }

    /// Everything a file says of its key, each part with its length before it.
    fn aad(&self) -> Vec<u8> {
        let optional = |text: Option<String>| text.map_or(String::from("-"), |text| format!("+{text}"));
        let parts = [
            "kabao/key-file/1".to_owned(),
            self.kid.clone(),
            self.purpose.name().to_owned(),
            optional(self.public.as_ref().map(PublicKey::jwk)),
            optional(self.owner.clone()),
            self.version.to_string(),
            self.created.to_string(),
            self.not_before.to_string(),
            self.not_after.to_string(),
            optional(self.retired.map(|at| at.to_string())),
            (self.development == Development::Yes).to_string(),
            optional(self.signs_max.map(|most| most.to_string())),
        ];
        parts
            .iter()
            .flat_map(|part| [part.len().to_string().as_bytes(), b":", part.as_bytes()].concat())
            .collect()
    }
}

/// A key file: what is said of the key, how the store's key is derived, and the sealed secret.
#[derive(Clone)]
pub(super) struct KeyFile {
    pub(super) info: KeyInfo,
    pub(super) derivation: Derivation,
    sealed: Vec<u8>,
}

impl KeyFile {
    pub(super) fn seal(
        info: KeyInfo,
        derivation: &Derivation,
        key: &SecretKey,
        secret: &[u8],
        random: &dyn Random,
    ) -> Result<Self, KeyStoreError> {
        let sealed = envelope::seal(key, random, &info.aad(), secret)?;
        Ok(Self { info, derivation: derivation.clone(), sealed })
    }

    pub(super) fn open(&self, key: &SecretKey) -> Result<Zeroizing<Vec<u8>>, KeyStoreError> {
        envelope::open(key, &self.info.aad(), &self.sealed)
            .map_err(|_| KeyStoreError::Altered { file: self.info.file_name() })
    }

    pub(super) fn to_text(&self) -> String {
        let info = &self.info;
        let public = info
            .public
            .as_ref()
            .map(|key| serde_json::from_str::<Value>(&key.jwk()).expect("a JWK is JSON by construction"));
        let value = json!({
            "kabao_key": FORMAT,
            "purpose": info.purpose.name(),
            "algorithm": info.algorithm().map(Algorithm::name),
            "kid": info.kid,
            "owner": info.owner,
            "version": info.version,
            "created": info.created.to_string(),
            "not_before": info.not_before.to_string(),
            "not_after": info.not_after.to_string(),
            "retired": info.retired.map(|at| at.to_string()),
            "development": info.development == Development::Yes,
            "signs_max": info.signs_max,
            "public": public,
            "kdf": self.derivation.to_json(),
            "sealed": URL_SAFE_NO_PAD.encode(&self.sealed),
        });
        format!("{value:#}\n")
    }

    /// Reads a key file. Nothing is believed until [`KeyFile::open`] has succeeded.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, KeyStoreError> {
        let malformed = |part| KeyStoreError::malformed(name, part);
        let value: Value = serde_json::from_str(text).map_err(|_| malformed("json"))?;
        if value["kabao_key"].as_u64() != Some(FORMAT) {
            return Err(malformed("kabao_key"));
        }
        let reader = Reader { value: &value, name };
        let purpose: Purpose = reader.parse("purpose")?;
        let public = match purpose.kind() {
            Kind::Secret if value["public"].is_null() && value["algorithm"].is_null() => None,
            Kind::Secret => return Err(malformed("public")),
            Kind::Signing => {
                let key = PublicKey::from_jwk(&value["public"]).map_err(|_| malformed("public"))?;
                if value["algorithm"].as_str() != Some(key.algorithm().name()) {
                    return Err(malformed("algorithm"));
                }
                Some(key)
            }
        };
        let kid = reader.text("kid")?.to_owned();
        if kid.len() != KID_LENGTH || public.as_ref().is_some_and(|key| key.kid() != kid) {
            return Err(malformed("kid"));
        }
        let info = KeyInfo {
            kid,
            purpose,
            public,
            owner: reader.optional("owner", |value| value.as_str().map(str::to_owned))?,
            version: value["version"].as_u64().and_then(|n| n.try_into().ok()).ok_or(malformed("version"))?,
            created: reader.parse("created")?,
            not_before: reader.parse("not_before")?,
            not_after: reader.parse("not_after")?,
            retired: reader.optional("retired", |value| value.as_str()?.parse().ok())?,
            development: match value["development"].as_bool().ok_or(malformed("development"))? {
                true => Development::Yes,
                false => Development::No,
            },
            signs_max: reader.optional("signs_max", Value::as_u64)?,
        };
        let derivation = Derivation::from_json(&value["kdf"]).ok_or(malformed("kdf"))?;
        let sealed = URL_SAFE_NO_PAD.decode(reader.text("sealed")?).map_err(|_| malformed("sealed"))?;
        Ok(Self { info, derivation, sealed })
    }
}

/// Reads members and names the one that is wrong.
struct Reader<'a> {
    value: &'a Value,
    name: &'a str,
}

impl<'a> Reader<'a> {
    fn text(&self, part: &'static str) -> Result<&'a str, KeyStoreError> {
        self.value[part].as_str().ok_or_else(|| KeyStoreError::malformed(self.name, part))
    }

    fn parse<T: FromStr>(&self, part: &'static str) -> Result<T, KeyStoreError> {
        self.text(part)?.parse().map_err(|_| KeyStoreError::malformed(self.name, part))
    }

    fn optional<T>(
        &self,
        part: &'static str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, KeyStoreError> {
        match &self.value[part] {
            Value::Null => Ok(None),
            value => read(value).map(Some).ok_or_else(|| KeyStoreError::malformed(self.name, part)),
        }
    }
}

/// The version of the format of key files.
const FORMAT: u64 = 1;

/// 32 bytes in base64url.
const KID_LENGTH: usize = 43;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Signer;
    use crate::keys::random::SeededRandom;
    use crate::keys::soft::SoftSigner;

    fn file() -> (KeyFile, SecretKey) {
        let random = SeededRandom::danger_seeded(1);
        let key = SecretKey::generate(&random).unwrap();
        let public = SoftSigner::ed25519(&[1; 32]).public_key().clone();
        let at = UnixTime::clamped;
        let info = KeyInfo {
            kid: public.kid(),
            purpose: Purpose::Issuer,
            public: Some(public),
            owner: Some("91350100M000100Y43".to_owned()),
            version: 1,
            created: at(1_000_000),
            not_before: at(1_000_000),
            not_after: at(2_000_000),
            retired: None,
            development: Development::No,
            signs_max: Some(10),
        };
        let derivation = Derivation::new(&random).unwrap();
        (KeyFile::seal(info, &derivation, &key, &[1; 32], &random).unwrap(), key)
    }

    #[test]
    fn a_key_file_survives_its_text() {
        let (file, key) = file();
        let read = KeyFile::parse("name", &file.to_text()).unwrap();
        assert_eq!(read.info, file.info);
        assert_eq!(*read.open(&key).unwrap(), [1; 32]);
        assert!(!file.to_text().contains("AQEBAQEBAQEB"), "the seed stands in the file");
    }

    #[test]
    fn whatever_is_edited_in_a_file_is_noticed() {
        let (file, key) = file();
        let value: Value = serde_json::from_str(&file.to_text()).unwrap();
        for (name, edited) in [
            ("purpose", json!("root")),
            ("owner", json!("91350100M000100Y44")),
            ("owner", json!(null)),
            ("version", json!(2)),
            ("created", json!("1970-01-12T13:46:41Z")),
            ("not_before", json!("1970-01-12T13:46:41Z")),
            ("not_after", json!("2070-01-12T13:46:40Z")),
            ("retired", json!("1970-01-12T13:46:40Z")),
            ("development", json!(true)),
            ("signs_max", json!(null)),
            ("sealed", json!("AQ")),
        ] {
            let mut value = value.clone();
            assert_ne!(value[name], edited);
            value[name] = edited;
            let read = KeyFile::parse("name", &value.to_string()).unwrap();
            assert!(matches!(read.open(&key), Err(KeyStoreError::Altered { .. })), "{name}");
        }
    }

    #[test]
    fn a_file_that_is_none_says_which_part_is_wrong() {
        let (file, _) = file();
        let value: Value = serde_json::from_str(&file.to_text()).unwrap();
        for (name, edited) in [
            ("kabao_key", json!(2)),
            ("purpose", json!("owner")),
            ("algorithm", json!("p256")),
            ("kid", json!("x")),
            ("version", json!(-1)),
            ("created", json!("yesterday")),
            ("signs_max", json!("many")),
            ("development", json!(null)),
            ("public", json!({})),
            ("kdf", json!({})),
            ("sealed", json!("?")),
        ] {
            let mut value = value.clone();
            value[name] = edited;
            let error = KeyFile::parse("name", &value.to_string()).err();
            assert_eq!(error, Some(KeyStoreError::malformed("name", name)), "{name}");
        }
        assert_eq!(KeyFile::parse("name", "").err(), Some(KeyStoreError::malformed("name", "json")));
    }
}
