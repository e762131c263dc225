//! What the service does: issue, hold, present, verify, publish.
//!
//! One [`Vault`] owns the store, the keys and the one writer. Each verb stands in a
//! file of its own, begins at [`guard`], prepares a plan (checked, signed, sealed) and
//! hands it to [`writer`], which keeps it wholly or not at all. Command line and web
//! call the same verbs, so they cannot differ.
//!
//! # Reading order
//!
//! [`guard`] who may what · [`writer`] order of writes · [`records`] what is kept ·
//! [`issue`], [`lifecycle`], [`wallet`], [`showing`], [`verify`] the main job ·
//! [`publish`], [`audit`] the public record · [`opening`] start and its refusals.

pub mod audit;
pub mod backup;
pub mod clock;
pub mod face;
pub mod guard;
pub mod issue;
mod key_events;
pub mod keyring;
pub mod lifecycle;
pub mod opening;
pub mod publish;
pub mod records;
pub mod registry;
pub mod released;
pub mod restore;
pub mod showing;
pub mod slots;
pub mod token;
mod tree;
pub mod unseal;
pub mod verify;
mod verify_answer;
mod verify_foreign;
mod verify_questions;
pub mod view;
pub mod wallet;
pub mod writer;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use self::clock::Clock;
use self::guard::Forbidden;
use self::keyring::Keyring;
use self::records::RecordError;
use self::released::Published;
use self::slots::SlotPool;
use self::writer::{Refused, Writer};
use crate::catalog::Catalog;
use crate::catalog::certificate_type::FieldFault;
use crate::credential::show_key::KnownShowKeys;
use crate::domain::digest::Digest;
use crate::domain::lifecycle::{ChangeKind, State};
use crate::domain::time::UnixTime;
use crate::keys::random::Random;
use crate::store::{Store, StoreError};

/// An open vault.
pub struct Vault {
    store: Arc<dyn Store>,
    catalog: Arc<Catalog>,
    keyring: Arc<Keyring>,
    published: Arc<RwLock<Published>>,
    writer: Arc<Writer>,
    slots: SlotPool,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    settings: Settings,
    show_keys: showing::ShowKeys,
    status_tokens: publish::StatusTokens,
    typed_tries: showing::TypedTries,
    assertions: token::SeenAssertions,
    known_show_keys: KnownShowKeys,
    frozen: Mutex<BTreeMap<String, Digest>>,
    /// Version of the registrations, as last logged.
    trust_changes: Mutex<u64>,
}

/// What the operator decides about a vault.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The service's public URL, without a slash at its end. Part of every credential and x509.
    pub url: String,
    /// The log's number when the vault is new: 0 on one machine. Later the store knows it: each restore
    /// that accepts a loss begins the next.
    pub log: u32,
}

impl Settings {
    /// The log's name: the URL without its scheme, and the path of the log.
    pub fn origin(&self) -> String {
        self.origin_of(self.log)
    }

    /// The name of the log with this number.
    pub fn origin_of(&self, log: u32) -> String {
        let bare = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        format!("{bare}/log/{log}")
    }

    /// The number of a log of this vault, by its name.
    pub fn log_of(&self, origin: &str) -> Option<u16> {
        let number = origin.rsplit_once('/')?.1.parse().ok()?;
        (self.origin_of(u32::from(number)) == origin).then_some(number)
    }

    /// Where a status list is published.
    pub fn status_url(&self, list: u32) -> String {
        format!("{}/status/{list}", self.url)
    }

    /// What credentials of a department name as their issuer.
    pub fn issuer_url(&self, uscc: &str) -> String {
        format!("{}/issuers/{uscc}", self.url)
    }
}

impl Vault {
    /// The kinds of certificate.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// What the operator decided.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The present instant.
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// The keys at work.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Whether the vault has stopped for good because the state of the disk is not known.
    pub fn stopped(&self) -> bool {
        self.writer.stopped()
    }

    pub(crate) fn published(&self) -> RwLockReadGuard<'_, Published> {
        self.published.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a verb did not do what was asked. Nothing was kept then, but after [`VaultError::Stopped`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum VaultError {
    /// The clock stepped back; nothing is written until it has caught up.
    ClockBack,
    /// Unknown, expired, used, or another agency's code: one answer for all.
    CodeRefused,
    /// The caller may not do this.
    Forbidden,
    /// The move is not in the table of the lifecycle.
    IllegalMove {
        /// Where it stands.
        state: State,
        /// What was asked.
        kind: ChangeKind,
    },
    /// Fields are wrong.
    Invalid(Vec<FieldFault>),
    /// There is none, or none that this caller may know of.
    NotFound,
    /// This department does not issue this type.
    NotYourType,
    /// This issuer has given the number to a certificate of this type already.
    NumberTaken,
    /// Fields were asked for that the scenario does not allow.
    OverAsking {
        /// Their keys.
        fields: Vec<String>,
    },
    /// Too much is waiting; try again.
    Overloaded,
    /// The idempotency key was used for another request.
    RequestReused,
    /// Offline code too long for the fields picked.
    TooLong,
    /// The vault has stopped; whether the last request was kept is found by sending it again.
    Stopped,
    /// No such certificate type.
    UnknownType,
    /// A stored row is damaged, or the system gave no random bytes.
    Unreadable,
}

impl VaultError {
    /// Stable name for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ClockBack => "vault/clock-back",
            Self::CodeRefused => "show/code-refused",
            Self::Forbidden => "access/forbidden",
            Self::IllegalMove { .. } => "lifecycle/illegal-move",
            Self::Invalid(_) => "certificate/invalid",
            Self::NotFound => "access/not-found",
            Self::NotYourType => "certificate/not-your-type",
            Self::NumberTaken => "certificate/number-taken",
            Self::OverAsking { .. } => "scenario/over-asking",
            Self::Overloaded => "vault/overloaded",
            Self::RequestReused => "request/key-reused",
            Self::Stopped => "vault/stopped",
            Self::TooLong => "show/too-long",
            Self::UnknownType => "certificate/unknown-type",
            Self::Unreadable => "vault/unreadable",
        }
    }

    /// What the reader can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::ClockBack => Some("set the machine's clock right"),
            Self::CodeRefused => Some("ask the holder to show a fresh code"),
            Self::IllegalMove { .. } => Some("an end is final; look at the certificate's history"),
            Self::Invalid(_) => Some("mend the fields named and send the row again"),
            Self::NotYourType => {
                Some("ask the security administrator to register the type for the department")
            }
            Self::NumberTaken => Some("replace the certificate that has the number, or mend the number"),
            Self::OverAsking { .. } => Some("ask within the scenario"),
            Self::Overloaded | Self::Stopped => Some("send the same request again, with the same key"),
            Self::RequestReused => Some("use a new Idempotency-Key for a new request"),
            Self::TooLong => Some("pick fewer fields"),
            Self::UnknownType => Some("`kabao type list` shows the types"),
            Self::Forbidden | Self::NotFound | Self::Unreadable => None,
        }
    }
}

impl fmt::Display for VaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClockBack => f.write_str("the clock stepped back; nothing is written"),
            Self::CodeRefused => f.write_str("the code is not accepted"),
            Self::Forbidden => f.write_str("this caller may not do this"),
            Self::IllegalMove { state, kind } => {
                write!(f, "a certificate that is {} cannot be put through `{}`", state.name(), kind.name())
            }
            Self::Invalid(faults) => {
                f.write_str("fields are wrong")?;
                for fault in faults {
                    write!(f, "; `{}` {}", fault.field, fault.reason)?;
                }
                Ok(())
            }
            Self::NotFound => f.write_str("there is none"),
            Self::NotYourType => f.write_str("this department does not issue certificates of this type"),
            Self::NumberTaken => {
                f.write_str("this issuer has given the number to a certificate of this type already")
            }
            Self::OverAsking { fields } => write!(f, "the scenario does not allow {}", fields.join(", ")),
            Self::Overloaded => f.write_str("too much is waiting"),
            Self::RequestReused => f.write_str("the idempotency key was used for another request"),
            Self::Stopped => f.write_str("the vault has stopped"),
            Self::TooLong => f.write_str("the fields do not fit an offline code"),
            Self::UnknownType => f.write_str("there is no such certificate type"),
            Self::Unreadable => f.write_str("a stored row cannot be read"),
        }
    }
}

impl std::error::Error for VaultError {}

impl From<Forbidden> for VaultError {
    fn from(_: Forbidden) -> Self {
        Self::Forbidden
    }
}

impl From<RecordError> for VaultError {
    fn from(error: RecordError) -> Self {
        tracing::error!(error.code = error.code(), "a row cannot be used");
        Self::Unreadable
    }
}

impl From<StoreError> for VaultError {
    fn from(error: StoreError) -> Self {
        tracing::error!(error.code = error.code(), "the store cannot be read");
        Self::Unreadable
    }
}

impl From<Refused> for VaultError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::ClockBack => Self::ClockBack,
            Refused::NumberTaken(_) => Self::NumberTaken,
            // A plan that keeps moving under a verb's feet was tried often enough.
            Refused::Moved(_) | Refused::Overloaded => Self::Overloaded,
            Refused::RequestReused => Self::RequestReused,
            Refused::Stopped => Self::Stopped,
        }
    }
}
