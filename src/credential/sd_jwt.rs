//! Credentials as SD-JWT (RFC 9901) after SD-JWT VC.
//!
//! A [`Plan`] says what a credential will say. [`Plan::sign`] lints it, salts every claim
//! into a [`Disclosure`] of its own, signs once (it takes the plan with it) and verifies the
//! signature before the [`SdJwt`] exists. The plan's claims are the disclosable ones; what
//! else the payload holds (`iss`, `vct`, times, `status`, `cnf`) always stands in the clear.
//!
//! No decoy digests: how many fields a certificate has filled in is all they could hide,
//! and each costs every wallet 46 bytes.
//!
//! # Not here
//!
//! Checking somebody else's credential: [`verify`](super::verify). The signed text is not
//! written to disk here, and no status slot or log position is chosen.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::disclosure::{self, Disclosure, DisclosureError, Salt, wipe};
use super::processing::{HASH_ALGORITHM, IN_THE_CLEAR};
use super::token::{self, TokenError};
use crate::domain::time::UnixTime;
use crate::keys::random::Random;
use crate::keys::{PublicKey, Signer};

/// What a credential will say. It becomes a credential at most once.
pub struct Plan {
    /// `iss`: the service's address of the issuing department, `…/issuers/{uscc}`.
    pub issuer: String,
    /// `vct`: the address of the certificate type, `…/types/{code}/{version}`.
    pub vct: String,
    /// `iat`, seconds since 1970.
    pub issued_at: UnixTime,
    /// `nbf`: the instant the first day begins; `None` for at once.
    pub not_before: Option<UnixTime>,
    /// `exp`: the instant the last day ends; `None` for 长期.
    pub expires_at: Option<UnixTime>,
    /// Where its status bits stand.
    pub status: StatusClaim,
    /// `cnf`: the key of the wallet that holds this copy.
    pub confirmation: Option<PublicKey>,
    /// Disclosable claims: name and value, each its own disclosure. `identifier` is one of them.
    pub claims: Vec<(String, Value)>,
}

/// Where the status bits of a credential stand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatusClaim {
    /// The place in the list.
    pub index: u32,
    /// The address of the list.
    pub uri: String,
}

/// A credential that we signed, with all its disclosures. Wiped when dropped.
pub struct SdJwt {
    /// `jwt~d~…~d~`.
    text: Zeroizing<String>,
    jwt_length: usize,
    disclosures: Vec<Disclosure>,
}

impl Plan {
    /// Says what is wrong with the plan before anything is signed.
    ///
    /// # Errors
    /// [`SdJwtError::Plan`] with the first rule that is broken.
    pub fn lint(&self) -> Result<(), SdJwtError> {
        let broken = |rule| Err(SdJwtError::Plan { rule });
        if ![&self.issuer, &self.vct, &self.status.uri].into_iter().all(|url| is_url(url)) {
            return broken("addresses are http or https, printable and short");
        }
        if self.status.index >= STATUS_SLOTS {
            return broken("a status list has 2^20 places");
        }
        if self.expires_at.is_some_and(|expires_at| expires_at <= self.not_before()) {
            return broken("it ends after it begins");
        }
        if self.claims.len() > DISCLOSURES_MAX {
            return broken("too many claims");
        }
        let mut names = BTreeSet::new();
        for (name, value) in &self.claims {
            let reserved =
                disclosure::RESERVED.contains(&name.as_str()) || IN_THE_CLEAR.contains(&name.as_str());
            if name.is_empty() || name.len() > NAME_BYTES_MAX || reserved {
                return broken("claims have names of their own, at most 64 bytes");
            }
            if !names.insert(name) {
                return broken("every claim stands there once");
            }
            if has_reserved_member(value, 0) {
                return broken("values are not too deep and have no reserved members");
            }
        }
        match self.claims.iter().find(|(name, _)| name == IDENTIFIER) {
            Some((_, Value::String(_))) => Ok(()),
            _ => broken("the identifier is among the claims"),
        }
    }

    /// Lints, salts, signs once and verifies the signature.
    ///
    /// `x5c` is the department's chain as DER, leaf first, without the root. Nothing has been kept yet: what comes back must not leave before it is on disk
    /// together with its record, status and log entry.
    ///
    /// # Errors
    /// [`SdJwtError::Plan`], [`SdJwtError::Random`] or [`SdJwtError::Token`].
    pub fn sign(
        mut self,
        signer: &dyn Signer,
        x5c: &[Vec<u8>],
        random: &dyn Random,
    ) -> Result<SdJwt, SdJwtError> {
        self.lint()?;
        let disclosures = self.salted(random)?;
        let mut digests: Vec<String> = disclosures.iter().map(Disclosure::digest).collect();
        // Sorted, so that the order of the fields tells nothing (RFC 9901, 4.2.4.1).
        digests.sort_unstable();
        let payload = self.payload(digests);
        let jwt = token::sign(
            signer,
            TYP,
            &x5c.iter().map(Vec::as_slice).collect::<Vec<_>>(),
            payload.to_string().as_bytes(),
        )
        .map_err(SdJwtError::Token)?;
        let text = join(&jwt, disclosures.iter());
        Ok(SdJwt { text, jwt_length: jwt.len(), disclosures })
    }

    fn not_before(&self) -> UnixTime {
        self.not_before.unwrap_or(self.issued_at)
    }

    fn salted(&mut self, random: &dyn Random) -> Result<Vec<Disclosure>, SdJwtError> {
        let mut bytes = Zeroizing::new(vec![0; self.claims.len() * size_of::<Salt>()]);
        random.fill(&mut bytes).map_err(|_| SdJwtError::Random)?;
        let (salts, _) = bytes.as_chunks::<{ size_of::<Salt>() }>();
        // A source that repeats itself hides nothing: every claim could be guessed from one that is known.
        if salts.iter().collect::<BTreeSet<_>>().len() != salts.len() {
            return Err(SdJwtError::Random);
        }
        let claims = std::mem::take(&mut self.claims);
        let salted = claims.into_iter().zip(salts);
        Ok(salted.map(|((name, value), salt)| Disclosure::of_claim(salt, name, value)).collect())
    }

    fn payload(&self, digests: Vec<String>) -> Value {
        let mut payload = json!({
            "_sd": digests,
            "_sd_alg": HASH_ALGORITHM,
            "iat": self.issued_at.seconds(),
            "iss": self.issuer,
            "nbf": self.not_before().seconds(),
            "status": { "status_list": { "idx": self.status.index, "uri": self.status.uri } },
            "vct": self.vct,
        });
        if let Some(expires_at) = self.expires_at {
            payload["exp"] = expires_at.seconds().into();
        }
        if let Some(key) = &self.confirmation {
            payload["cnf"] = json!({ "jwk": jwk(key) });
        }
        payload
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        self.claims.iter_mut().for_each(|(_, value)| wipe(value));
    }
}

impl SdJwt {
    /// Reads back a text that we signed and kept sealed: the seal vouches for it, so no signature
    /// is checked. A text from outside goes to [`verify`](super::verify).
    ///
    /// # Errors
    /// [`SdJwtError`] when it is no SD-JWT.
    pub fn read_back(text: &str) -> Result<Self, SdJwtError> {
        let parts = Parts::split(text)?;
        if parts.key_binding.is_some() {
            return Err(SdJwtError::KeyBindingUnwanted);
        }
        let disclosures = parts.disclosures()?;
        Ok(Self { jwt_length: parts.jwt.len(), text: Zeroizing::new(text.to_owned()), disclosures })
    }

    /// The issuer-signed JWT alone: what the log commits to.
    pub fn issuer_jwt(&self) -> &str {
        &self.text[..self.jwt_length]
    }

    /// All of it, `jwt~d~…~d~`: for the sealed record and for the holder.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Only the disclosures of these claims. A name it does not have is passed over.
    pub fn present(&self, keys: &[&str]) -> Zeroizing<String> {
        let is_wanted = |disclosure: &&Disclosure| disclosure.key().is_some_and(|key| keys.contains(&key));
        join(self.issuer_jwt(), self.disclosures.iter().filter(is_wanted))
    }

    /// The names of the disclosable claims.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.disclosures.iter().filter_map(Disclosure::key)
    }
}

impl fmt::Debug for SdJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SdJwt(..)")
    }
}

/// The text of an SD-JWT, cut at its tildes.
pub(super) struct Parts<'a> {
    pub(super) jwt: &'a str,
    disclosures: Vec<&'a str>,
    /// Up to and with the last tilde: what a key binding covers.
    pub(super) presentation: &'a str,
    pub(super) key_binding: Option<&'a str>,
}

impl<'a> Parts<'a> {
    pub(super) fn split(text: &'a str) -> Result<Self, SdJwtError> {
        if text.len() > BYTES_MAX {
            return Err(SdJwtError::TooLong);
        }
        // A JWT without a tilde is no SD-JWT, however good its signature (T15).
        let (presentation, last) = text.rsplit_once('~').ok_or(SdJwtError::NotSdJwt)?;
        let (jwt, rest) =
            presentation.split_once('~').map_or((presentation, None), |(jwt, rest)| (jwt, Some(rest)));
        let disclosures: Vec<&str> =
            rest.map(|rest| rest.split('~').take(DISCLOSURES_MAX + 1).collect()).unwrap_or_default();
        if disclosures.len() > DISCLOSURES_MAX {
            return Err(SdJwtError::TooManyDisclosures);
        }
        let key_binding = (!last.is_empty()).then_some(last);
        Ok(Self { jwt, disclosures, presentation: &text[..presentation.len() + 1], key_binding })
    }

    pub(super) fn disclosures(&self) -> Result<Vec<Disclosure>, SdJwtError> {
        let parsed = self.disclosures.iter().map(|encoded| Disclosure::parse(encoded));
        parsed.collect::<Result<_, _>>().map_err(SdJwtError::Disclosure)
    }
}

/// Why a credential is not made, or why a text is not a credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SdJwtError {
    /// A claim that the issuer requires or types is missing or of another JSON type.
    Claim {
        /// Its name.
        name: &'static str,
    },
    /// A disclosure would overwrite a claim.
    ClaimExists,
    /// Nested deeper than JSON may be.
    Deep,
    /// `_sd` is not an array of texts, or `...` not a text.
    Digests,
    /// One disclosure is built wrongly.
    Disclosure(DisclosureError),
    /// The same digest stands in two places.
    DuplicateDigest,
    /// The same disclosure was sent twice.
    DuplicateDisclosure,
    /// A disclosure of a claim stands for an element of an array, or the other way round.
    Elements,
    /// `_sd_alg` is not `sha-256`.
    HashAlgorithm,
    /// A key binding where none is wanted.
    KeyBindingUnwanted,
    /// A claim that must stand in the clear was disclosed.
    MustStandInTheClear,
    /// There is no tilde: a bare JWT.
    NotSdJwt,
    /// The plan breaks a rule.
    Plan {
        /// The rule, as a sentence that ought to be true.
        rule: &'static str,
    },
    /// The source of randomness failed or repeats itself.
    Random,
    /// `_sd_alg` below the top, or `...` outside an array.
    ReservedName,
    /// The issuer-signed JWT is built wrongly or could not be made.
    Token(TokenError),
    /// Longer than [`BYTES_MAX`].
    TooLong,
    /// More than [`DISCLOSURES_MAX`].
    TooManyDisclosures,
    /// A disclosure that no signed digest covers.
    UnreferencedDisclosure,
}

impl SdJwtError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Claim { .. } => "credential/claim",
            Self::ClaimExists => "credential/claim-exists",
            Self::Deep => "credential/deep",
            Self::Digests => "credential/digests",
            Self::Disclosure(error) => error.code(),
            Self::DuplicateDigest => "credential/duplicate-digest",
            Self::DuplicateDisclosure => "credential/duplicate-disclosure",
            Self::Elements => "credential/elements",
            Self::HashAlgorithm => "credential/hash-algorithm",
            Self::Token(error) => error.code(),
            Self::KeyBindingUnwanted => "credential/key-binding-unwanted",
            Self::MustStandInTheClear => "credential/must-stand-in-the-clear",
            Self::NotSdJwt => "credential/not-sd-jwt",
            Self::Plan { .. } => "credential/plan",
            Self::Random => "credential/random",
            Self::ReservedName => "credential/reserved-name",
            Self::TooLong => "credential/too-long",
            Self::TooManyDisclosures => "credential/too-many-disclosures",
            Self::UnreferencedDisclosure => "credential/unreferenced-disclosure",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Token(error) => error.hint(),
            Self::NotSdJwt => Some("a credential ends with `~`; was the end cut off?"),
            Self::Random => Some("check the random source of the system"),
            _ => None,
        }
    }
}

impl fmt::Display for SdJwtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim { name } => write!(f, "the claim `{name}` is missing or of the wrong type"),
            Self::ClaimExists => f.write_str("a disclosure would overwrite a claim"),
            Self::Deep => f.write_str("the credential is nested too deeply"),
            Self::Digests => f.write_str("the digests are not a list of texts"),
            Self::Disclosure(error) => error.fmt(f),
            Self::DuplicateDigest => f.write_str("a digest stands in two places"),
            Self::DuplicateDisclosure => f.write_str("a disclosure was sent twice"),
            Self::Elements => f.write_str("a disclosure is of the wrong form for its place"),
            Self::HashAlgorithm => f.write_str("the digests are not made by `sha-256`"),
            Self::Token(error) => error.fmt(f),
            Self::KeyBindingUnwanted => f.write_str("a key binding where none is wanted"),
            Self::MustStandInTheClear => {
                f.write_str("a disclosure holds a claim that must stand in the clear")
            }
            Self::NotSdJwt => f.write_str("not a credential: there is no `~`"),
            Self::Plan { rule } => write!(f, "the credential was not made: {rule}"),
            Self::Random => f.write_str("the source of randomness failed"),
            Self::ReservedName => f.write_str("a reserved name stands where it must not"),
            Self::TooLong => f.write_str("the credential is too long"),
            Self::TooManyDisclosures => f.write_str("the credential has too many disclosures"),
            Self::UnreferencedDisclosure => f.write_str("a disclosure is not covered by the signature"),
        }
    }
}

impl std::error::Error for SdJwtError {}

fn join<'a>(jwt: &str, disclosures: impl Iterator<Item = &'a Disclosure> + Clone) -> Zeroizing<String> {
    let length = disclosures.clone().map(|disclosure| disclosure.encoded().len() + 1).sum::<usize>();
    // At its full size at once: a text that grew would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(jwt.len() + 1 + length));
    text.push_str(jwt);
    text.push('~');
    for disclosure in disclosures {
        text.push_str(disclosure.encoded());
        text.push('~');
    }
    text
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    text.len() <= URL_BYTES_MAX
        && rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()))
}

fn has_reserved_member(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(_) | Value::Object(_) if depth >= VALUE_DEPTH_MAX => true,
        Value::Array(items) => items.iter().any(|item| has_reserved_member(item, depth + 1)),
        Value::Object(members) => members.iter().any(|(name, value)| {
            disclosure::RESERVED.contains(&name.as_str()) || has_reserved_member(value, depth + 1)
        }),
        _ => false,
    }
}

fn jwk(key: &PublicKey) -> Map<String, Value> {
    match serde_json::from_str(&key.jwk()) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// The draft of SD-JWT VC that we write and read: the one place that names it.
pub const SD_JWT_VC_DRAFT: &str = "draft-ietf-oauth-sd-jwt-vc-15";

/// `typ` of a credential, as that draft has it.
pub const TYP: &str = "dc+sd-jwt";

/// The claim that holds the certificate's identifier (电子证照标识).
pub const IDENTIFIER: &str = "identifier";

/// Bytes of one credential with all its disclosures. Our own choice.
pub const BYTES_MAX: usize = 512 << 10;

/// Disclosures in one credential. Our own choice; the largest type has some forty fields.
pub const DISCLOSURES_MAX: usize = 256;

/// Bytes of a claim's name. Our own choice.
const NAME_BYTES_MAX: usize = 64;

/// Levels inside one claim: a table is two.
const VALUE_DEPTH_MAX: usize = 4;

/// Bytes of an address. Our own choice.
const URL_BYTES_MAX: usize = 512;

/// Places in a status list (DESIGN, "Status slot").
const STATUS_SLOTS: u32 = 1 << 20;
