//! Status List Tokens: a list signed for everyone to fetch (Token Status List, draft -20, section 5.1).
//!
//! A [`VerifiedStatusList`] was signed by a key trusted for status, is the list
//! of the URI that was asked for, and was in force at the time it was verified
//! for. It carries the head of the log that folds to it, in the claim
//! `kabao_log`.
//!
//! # Not here
//!
//! How old a list may be beyond its `exp`, and which keys are trusted that day:
//! both are for the caller. The CWT form.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use serde_json::json;

use crate::domain::digest::Digest;
use crate::domain::time::UnixTime;
use crate::keys::PublicKey;
use crate::keys::Signature;
use crate::keys::Signer;
use crate::log::checkpoint::Checkpoint;
use crate::log::event::SlotValue;
use crate::status::list::BITS;
use crate::status::list::ListError;
use crate::status::list::SlotIndex;
use crate::status::list::StatusList;

/// What a token will say. Signing takes it, so that it is signed once.
#[derive(Debug)]
pub struct TokenPlan<'a> {
    /// Where the list is fetched: `uri` of the certificates and `sub` of the token.
    pub uri: &'a str,
    /// When it is signed.
    pub issued_at: UnixTime,
    /// From when on it is void.
    pub expires_at: UnixTime,
    /// After how many seconds it should be fetched again.
    pub ttl_s: u32,
    /// The list.
    pub list: &'a StatusList,
    /// The head of the log that folds to the list.
    pub log: &'a Checkpoint,
    /// Where all lists are named, if anywhere.
    pub aggregation_uri: Option<&'a str>,
}

impl TokenPlan<'_> {
    /// The token: a compact JWS of type `statuslist+jwt`. Our own signature is verified.
    ///
    /// # Errors
    /// [`TokenError::Malformed`] when the plan contradicts itself, [`TokenError::CannotSign`].
    pub fn sign(self, signer: &dyn Signer) -> Result<String, TokenError> {
        if self.expires_at <= self.issued_at || self.ttl_s == 0 {
            return Err(TokenError::Malformed { part: "times" });
        }
        if self.uri.is_empty() || self.uri.len() > URI_BYTES_MAX {
            return Err(TokenError::Malformed { part: "sub" });
        }
        let key = signer.public_key();
        let header = json!({ "alg": key.algorithm().jose(), "kid": key.kid(), "typ": TYPE });
        let mut list = json!({ "bits": BITS, "lst": URL_SAFE_NO_PAD.encode(self.list.compress()) });
        if let Some(uri) = self.aggregation_uri {
            list["aggregation_uri"] = json!(uri);
        }
        let payload = json!({
            "sub": self.uri,
            "iat": self.issued_at.seconds(),
            "exp": self.expires_at.seconds(),
            "ttl": self.ttl_s,
            "status_list": list,
            "kabao_log": {
                "origin": self.log.origin().as_str(),
                "size": self.log.size(),
                "root": STANDARD.encode(self.log.root().as_bytes()),
            },
        });
        let message = format!("{}.{}", encode(&header), encode(&payload));
        let signature = signer.sign(message.as_bytes()).map_err(|_| TokenError::CannotSign)?;
        if !key.verify(message.as_bytes(), &signature) {
            return Err(TokenError::CannotSign);
        }
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// A token as it came: its signature is not checked, its list not read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnverifiedStatusToken {
    message: String,
    payload: String,
    alg: String,
    kid: String,
    signature: Signature,
}

impl UnverifiedStatusToken {
    /// Reads the outside of a token.
    ///
    /// # Errors
    /// [`TokenError::TooLarge`], [`TokenError::Malformed`].
    pub fn parse(token: &str) -> Result<Self, TokenError> {
        let malformed = |part| TokenError::Malformed { part };
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLarge);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(malformed("parts"))?;
        let (header, payload) = message.split_once('.').ok_or(malformed("parts"))?;
        if header.len() > HEADER_BYTES_MAX {
            return Err(TokenError::TooLarge);
        }
        let header = decode(header, "header")?;
        if text(&header, "typ")? != TYPE {
            return Err(malformed("typ"));
        }
        if header.get("crit").is_some() {
            return Err(malformed("crit"));
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed("signature"))?;
        Ok(Self {
            message: message.to_owned(),
            payload: payload.to_owned(),
            alg: text(&header, "alg")?.to_owned(),
            kid: text(&header, "kid")?.to_owned(),
            signature: signature.try_into().map_err(|_| malformed("signature"))?,
        })
    }

    /// Believes the list if one of these keys signed it, it is the one of that URI, and it is in force.
    ///
    /// # Errors
    /// [`TokenError`], by what is wrong.
    pub fn verify(
        self,
        keys: &[PublicKey],
        uri: &str,
        at: UnixTime,
    ) -> Result<VerifiedStatusList, TokenError> {
        let list = self.verify_as_of_then(keys)?;
        if list.uri != uri {
            return Err(TokenError::OtherList);
        }
        if list.issued_at > at.plus(SKEW_S) {
            return Err(TokenError::NotYet);
        }
        if list.expires_at <= at {
            return Err(TokenError::Expired);
        }
        Ok(list)
    }

    /// Believes what one of these keys once said of whatever list it names, also when it is void now:
    /// what was published stays published.
    ///
    /// # Errors
    /// [`TokenError`], by what is wrong.
    pub fn verify_as_of_then(self, keys: &[PublicKey]) -> Result<VerifiedStatusList, TokenError> {
        let malformed = |part| TokenError::Malformed { part };
        let key = keys.iter().find(|key| key.kid() == self.kid).ok_or(TokenError::KeyUnknown)?;
        // The algorithm is the key's; what the header says may only agree.
        if key.algorithm().jose() != self.alg || !key.verify(self.message.as_bytes(), &self.signature) {
            return Err(TokenError::Signature);
        }
        let payload = decode(&self.payload, "payload")?;
        let uri = text(&payload, "sub")?.to_owned();
        let (issued_at, expires_at) = (instant(&payload, "iat")?, instant(&payload, "exp")?);
        if expires_at <= issued_at {
            return Err(malformed("exp"));
        }
        let ttl_s = number(&payload, "ttl")?.try_into().map_err(|_| malformed("ttl"))?;
        let list = payload.get("status_list").ok_or(malformed("status_list"))?;
        if number(list, "bits")? != u64::from(BITS) {
            return Err(malformed("bits"));
        }
        let compressed = URL_SAFE_NO_PAD.decode(text(list, "lst")?).map_err(|_| malformed("lst"))?;
        let list = StatusList::decompress(&compressed)?;
        let log = log_head(payload.get("kabao_log").ok_or(malformed("kabao_log"))?)?;
        Ok(VerifiedStatusList { uri, kid: self.kid, issued_at, expires_at, ttl_s, list, log })
    }
}

/// A list signed by a key trusted for status, and in force when it was verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedStatusList {
    uri: String,
    kid: String,
    issued_at: UnixTime,
    expires_at: UnixTime,
    ttl_s: u32,
    list: StatusList,
    log: Checkpoint,
}

impl VerifiedStatusList {
    /// Which list it is.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The key that signed it.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// When it was signed: the status is known as of then.
    pub const fn issued_at(&self) -> UnixTime {
        self.issued_at
    }

    /// From when on it is void.
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// From when on it should be fetched again.
    pub fn refetch_at(&self) -> UnixTime {
        self.issued_at.plus(i64::from(self.ttl_s)).min(self.expires_at)
    }

    /// The value of a slot.
    pub fn value(&self, index: SlotIndex) -> SlotValue {
        self.list.value(index)
    }

    /// The list.
    pub const fn list(&self) -> &StatusList {
        &self.list
    }

    /// The head of the log that must fold to the list.
    pub const fn log(&self) -> &Checkpoint {
        &self.log
    }
}

/// Why a status list token is not accepted, or not made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TokenError {
    /// The signing key cannot be reached, or made a signature that does not verify.
    CannotSign,
    /// It is void.
    Expired,
    /// None of the trusted keys has this name.
    KeyUnknown,
    /// The list in it is not accepted.
    List(ListError),
    /// Not a status list token.
    Malformed {
        /// What is wrong with it.
        part: &'static str,
    },
    /// It was signed later than now: one of the clocks is wrong.
    NotYet,
    /// It is the list of another URI.
    OtherList,
    /// The signature is not by that key.
    Signature,
    /// Larger than we read.
    TooLarge,
}

impl TokenError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::CannotSign => "status/cannot-sign",
            Self::Expired => "status/token-expired",
            Self::KeyUnknown => "status/key-unknown",
            Self::List(error) => error.code(),
            Self::Malformed { .. } => "status/token-malformed",
            Self::NotYet => "status/token-not-yet",
            Self::OtherList => "status/other-list",
            Self::Signature => "status/signature",
            Self::TooLarge => "status/token-too-large",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Expired => Some("fetch the status list again"),
            Self::KeyUnknown => Some("fetch the trust bundle again; the status key may be new"),
            Self::List(error) => error.hint(),
            Self::NotYet => Some("check the clock of this machine"),
            _ => None,
        }
    }
}

impl From<ListError> for TokenError {
    fn from(error: ListError) -> Self {
        Self::List(error)
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CannotSign => f.write_str("the status key cannot be used"),
            Self::Expired => f.write_str("the status list is out of date"),
            Self::KeyUnknown => f.write_str("the status list is signed by an unknown key"),
            Self::List(error) => error.fmt(f),
            Self::Malformed { part } => write!(f, "not a status list token: {part}"),
            Self::NotYet => f.write_str("the status list is from the future"),
            Self::OtherList => f.write_str("this is another status list"),
            Self::Signature => f.write_str("the signature of the status list does not verify"),
            Self::TooLarge => f.write_str("the status list token is too large"),
        }
    }
}

impl std::error::Error for TokenError {}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn decode(encoded: &str, part: &'static str) -> Result<Value, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenError::Malformed { part })?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed { part })
}

fn text<'a>(object: &'a Value, name: &'static str) -> Result<&'a str, TokenError> {
    object.get(name).and_then(Value::as_str).ok_or(TokenError::Malformed { part: name })
}

fn number(object: &Value, name: &'static str) -> Result<u64, TokenError> {
    object.get(name).and_then(Value::as_u64).ok_or(TokenError::Malformed { part: name })
}

fn instant(object: &Value, name: &'static str) -> Result<UnixTime, TokenError> {
    let seconds = object.get(name).and_then(Value::as_i64);
    seconds.and_then(UnixTime::new).ok_or(TokenError::Malformed { part: name })
}

fn log_head(claim: &Value) -> Result<Checkpoint, TokenError> {
    let malformed = TokenError::Malformed { part: "kabao_log" };
    let origin = text(claim, "origin")?.parse().map_err(|_| malformed)?;
    let root = STANDARD.decode(text(claim, "root")?).map_err(|_| malformed)?;
    let root = Digest::from_bytes(root.try_into().map_err(|_| malformed)?);
    Checkpoint::new(origin, number(claim, "size")?, root).map_err(|_| malformed)
}

const TYPE: &str = "statuslist+jwt";

/// Bytes of a token: a list that does not compress has 262 KB, and base64 twice makes that 467 KB.
const TOKEN_BYTES_MAX: usize = 524_288;

/// Bytes of the encoded header. Our own choice: ours has 130.
const HEADER_BYTES_MAX: usize = 4096;

/// Bytes of a list's URI. Our own choice; it stands in every certificate.
const URI_BYTES_MAX: usize = 1024;

/// How far another clock may be ahead of ours. Our own choice.
const SKEW_S: i64 = 60;

#[cfg(test)]
mod tests {
    use ed25519_dalek::Signer as _;

    use super::*;
    use crate::keys::Algorithm;
    use crate::keys::SignError;

    const URI: &str = "https://kabao.example/status/0";

    struct TestSigner(ed25519_dalek::SigningKey, PublicKey);

    impl TestSigner {
        fn new(seed: u8) -> Self {
            let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
            let public = PublicKey::new(Algorithm::Ed25519, key.verifying_key().as_bytes()).unwrap();
            Self(key, public)
        }
    }

    impl Signer for TestSigner {
        fn public_key(&self) -> &PublicKey {
            &self.1
        }

        fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
            Ok(self.0.sign(message).to_bytes())
        }
    }

    fn at(seconds: i64) -> UnixTime {
        UnixTime::clamped(1_700_000_000 + seconds)
    }

    fn head() -> Checkpoint {
        Checkpoint::new("log.example/0".parse().unwrap(), 70_000, Digest::of(&[b"root"])).unwrap()
    }

    fn list() -> StatusList {
        let mut list = StatusList::new();
        list.set(SlotIndex::new(5).unwrap(), SlotValue::Suspended);
        list.set(SlotIndex::new(1_048_575).unwrap(), SlotValue::Ended);
        list
    }

    fn signed() -> String {
        let plan = TokenPlan {
            uri: URI,
            issued_at: at(0),
            expires_at: at(86_400),
            ttl_s: 600,
            list: &list(),
            log: &head(),
            aggregation_uri: Some("https://kabao.example/status"),
        };
        plan.sign(&TestSigner::new(1)).unwrap()
    }

    /// The token with its claims changed, signed again by the right key.
    fn resigned(change: impl Fn(&mut Value)) -> String {
        let token = signed();
        let mut parts = token.split('.');
        let (header, payload) = (parts.next().unwrap(), parts.next().unwrap());
        let mut payload = decode(payload, "payload").unwrap();
        change(&mut payload);
        let message = format!("{header}.{}", encode(&payload));
        let signature = TestSigner::new(1).sign(message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn verify(token: &str, uri: &str, at: UnixTime) -> Result<VerifiedStatusList, TokenError> {
        let keys = [TestSigner::new(2).1, TestSigner::new(1).1];
        UnverifiedStatusToken::parse(token)?.verify(&keys, uri, at)
    }

    #[test]
    fn a_signed_list_is_read_back_with_its_log() {
        let verified = verify(&signed(), URI, at(10)).unwrap();
        assert_eq!((verified.list(), verified.log(), verified.uri()), (&list(), &head(), URI));
        assert_eq!(verified.value(SlotIndex::new(5).unwrap()), SlotValue::Suspended);
        assert_eq!((verified.issued_at(), verified.expires_at()), (at(0), at(86_400)));
        assert_eq!(verified.refetch_at(), at(600));
        assert_eq!(verified.kid(), TestSigner::new(1).1.kid());
    }

    #[test]
    fn the_claims_are_those_of_the_draft() {
        let token = signed();
        let parts: Vec<Value> = token.split('.').take(2).map(|part| decode(part, "test").unwrap()).collect();
        assert_eq!(parts[0]["typ"], "statuslist+jwt");
        assert_eq!(parts[0]["alg"], "EdDSA");
        let claims = &parts[1];
        assert_eq!((&claims["sub"], &claims["ttl"]), (&json!(URI), &json!(600)));
        assert_eq!((&claims["iat"], &claims["exp"]), (&json!(1_700_000_000), &json!(1_700_086_400)));
        assert_eq!(claims["status_list"]["bits"], 2);
        assert_eq!(claims["status_list"]["aggregation_uri"], "https://kabao.example/status");
        assert_eq!(claims["kabao_log"]["size"], 70_000);
    }

    #[test]
    fn a_list_counts_for_its_uri_and_its_time_only() {
        let token = signed();
        assert_eq!(verify(&token, "https://kabao.example/status/1", at(0)), Err(TokenError::OtherList));
        assert_eq!(verify(&token, URI, at(86_400)), Err(TokenError::Expired));
        assert_eq!(verify(&token, URI, at(-61)), Err(TokenError::NotYet));
        assert!(verify(&token, URI, at(86_399)).is_ok() && verify(&token, URI, at(-60)).is_ok());
    }

    #[test]
    fn a_changed_token_is_not_believed() {
        let token = signed();
        for place in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[place] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(verify(&changed, URI, at(0)).is_err(), "byte {place}");
        }
        let key = TestSigner::new(3).1;
        let unknown = UnverifiedStatusToken::parse(&token).unwrap().verify(&[key], URI, at(0));
        assert_eq!(unknown, Err(TokenError::KeyUnknown));
    }

    #[test]
    fn a_signed_token_must_still_be_whole() {
        let check = |change: &dyn Fn(&mut Value), expected| {
            assert_eq!(verify(&resigned(change), URI, at(0)), Err(expected));
        };
        let malformed = |part| TokenError::Malformed { part };
        check(&|claims| claims["status_list"]["bits"] = json!(1), malformed("bits"));
        check(&|claims| claims["status_list"]["lst"] = json!("eNo76fITAAPfAgc"), ListError::Length.into());
        check(&|claims| claims["status_list"] = Value::Null, malformed("bits"));
        check(&|claims| claims["exp"] = Value::Null, malformed("exp"));
        check(&|claims| claims["exp"] = claims["iat"].clone(), malformed("exp"));
        check(&|claims| claims["iat"] = json!(1.5), malformed("iat"));
        check(&|claims| claims["ttl"] = json!(-1), malformed("ttl"));
        check(&|claims| claims["kabao_log"]["root"] = json!("AAAA"), malformed("kabao_log"));
    }

    #[test]
    fn the_header_chooses_nothing() {
        let token = signed();
        let (header, rest) = token.split_once('.').unwrap();
        let check = |change: &dyn Fn(&mut Value), expected| {
            let mut header = decode(header, "header").unwrap();
            change(&mut header);
            assert_eq!(verify(&format!("{}.{rest}", encode(&header)), URI, at(0)), Err(expected));
        };
        check(&|header| header["alg"] = json!("none"), TokenError::Signature);
        check(&|header| header["alg"] = json!("ES256"), TokenError::Signature);
        check(&|header| header["typ"] = json!("JWT"), TokenError::Malformed { part: "typ" });
        check(&|header| header["crit"] = json!(["b64"]), TokenError::Malformed { part: "crit" });
    }

    #[test]
    fn a_token_has_a_purse_and_any_list_fits_it() {
        assert_eq!(verify(&"a".repeat(TOKEN_BYTES_MAX + 1), URI, at(0)), Err(TokenError::TooLarge));
        let header = format!("{}..", "a".repeat(HEADER_BYTES_MAX + 1));
        assert_eq!(verify(&header, URI, at(0)), Err(TokenError::TooLarge));

        // The list that compresses worst: its bits are as random as three values in four allow.
        let mut bytes: Vec<u8> =
            (0u64..8192).flat_map(|n| *Digest::of(&[&n.to_be_bytes()]).as_bytes()).collect();
        for byte in &mut bytes {
            let threes = *byte & (*byte >> 1) & 0b0101_0101;
            *byte ^= threes;
        }
        let list = StatusList::from_bytes(bytes).unwrap();
        let plan = TokenPlan {
            uri: URI,
            issued_at: at(0),
            expires_at: at(1),
            ttl_s: 1,
            list: &list,
            log: &head(),
            aggregation_uri: None,
        };
        let token = plan.sign(&TestSigner::new(1)).unwrap();
        assert_eq!(verify(&token, URI, at(0)).unwrap().list(), &list);
    }
}
