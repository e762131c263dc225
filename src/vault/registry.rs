//! Who is registered to call: departments' officers and systems, agencies, auditors, administrators.
//!
//! A registration says which part a caller plays, for which organisation, with which
//! keys, which certificate types it issues and in which scenarios it asks. It is read
//! at every call, so a permission withdrawn bites on the next one.

use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

use super::guard::{self, Caller, Role, Verb};
use super::writer::Plan;
use super::{Vault, VaultError};
use crate::catalog::CertificateType;
use crate::catalog::certificate_type::FieldFault;
use crate::domain::digest::Digest;
use crate::domain::uscc::Uscc;
use crate::keys::PublicKey;
use crate::log::event::Event;
use crate::store::{self, Meta, MetaName, PageRequest};

/// A registered caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// Its name in tokens: 1 to 64 of a-z, 0-9, `-` and `.`.
    pub id: String,
    /// The part it plays. Holders are not registered.
    pub role: Role,
    /// The organisation it acts for.
    pub organisation: Option<Uscc>,
    /// The organisation's name, for people.
    pub name: String,
    /// Keys with which it authenticates.
    pub keys: Vec<PublicKey>,
    /// Types it issues, by slug.
    pub types: Allowed,
    /// Scenarios it asks in, by slug.
    pub scenarios: Allowed,
    /// Whether it may call.
    pub state: RegistrationState,
}

/// Which of a set are allowed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Allowed {
    /// All there are.
    All,
    /// These.
    Only(Vec<String>),
}

impl Allowed {
    /// Whether this one is allowed.
    pub fn contains(&self, slug: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(slugs) => slugs.iter().any(|candidate| candidate == slug),
        }
    }
}

/// Whether a registration may call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RegistrationState {
    /// It may.
    Active,
    /// It may not any more.
    Withdrawn,
}

impl Vault {
    /// Registers a caller, or changes a registration.
    ///
    /// # Errors
    /// [`VaultError::Invalid`] for a registration that makes no sense.
    pub fn register(&self, caller: &Caller, registration: Registration) -> Result<(), VaultError> {
        guard::admit(caller, Verb::Register)?;
        self.keep_registration(&registration)
    }

    /// Withdraws a registration: its next call is refused.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub fn withdraw_registration(&self, caller: &Caller, id: &str) -> Result<(), VaultError> {
        guard::admit(caller, Verb::Register)?;
        let registration = self.registration(id)?.ok_or(VaultError::NotFound)?;
        self.keep_registration(&Registration { state: RegistrationState::Withdrawn, ..registration })
    }

    /// Every registration.
    ///
    /// # Errors
    /// The store's.
    pub fn registrations(&self, caller: &Caller) -> Result<Vec<Registration>, VaultError> {
        guard::admit(caller, Verb::Register)?;
        self.all_registrations()
    }

    /// The registration with this name, for who looks after registrations.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub fn registration_for(&self, caller: &Caller, id: &str) -> Result<Registration, VaultError> {
        guard::admit(caller, Verb::Register)?;
        self.registration(id)?.ok_or(VaultError::NotFound)
    }

    /// The registration with this name, whoever asks: for deciding who may call.
    ///
    /// # Errors
    /// The store's.
    pub fn registration(&self, id: &str) -> Result<Option<Registration>, VaultError> {
        let Some(row) = self.store.client(id)? else { return Ok(None) };
        self.open_registration(&row).map(Some)
    }

    pub(super) fn all_registrations(&self) -> Result<Vec<Registration>, VaultError> {
        let mut found = Vec::new();
        let mut page = self.store.clients(&PageRequest::first(PAGE))?;
        loop {
            for row in &page.items {
                found.push(self.open_registration(row)?);
            }
            let Some(next) = page.next else { return Ok(found) };
            page = self.store.clients(&PageRequest::after(next, PAGE))?;
        }
    }

    /// Refuses an officer whose registration does not list the type.
    pub(super) fn may_issue(&self, caller: &Caller, kind: &CertificateType) -> Result<(), VaultError> {
        let registration = self.registration(&caller.id)?.ok_or(VaultError::Forbidden)?;
        if registration.state == RegistrationState::Active && registration.types.contains(kind.slug()) {
            Ok(())
        } else {
            Err(VaultError::NotYourType)
        }
    }

    /// Keeps a registration without asking who wants it: for opening a new vault, and for [`Vault::register`].
    pub(super) fn keep_registration(&self, registration: &Registration) -> Result<(), VaultError> {
        self.check_registration(registration)?;
        let form = RegistrationForm::from(registration);
        let json = serde_json::to_vec(&form).map_err(|_| VaultError::Unreadable)?;
        let sealed = self.seal_own("client", registration.id.as_bytes(), &json)?;
        // Who may do what is part of what verifiers trust: the log says that it changed, so a copy
        // of the database in which it has not is found out.
        let mut changes = self.trust_changes.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = self.store.meta(MetaName::Trust)?.and_then(|bytes| bytes.try_into().ok());
        let version = stored.map_or(0, u64::from_be_bytes).max(*changes) + 1;
        let event = Event::Trust { version, digest: Digest::of(&[&sealed]) };
        let row = store::Client { id: registration.id.clone(), sealed: sealed.into() };
        let meta = Meta { name: MetaName::Trust, bytes: version.to_be_bytes().to_vec() };
        let (rows, events) = (vec![row.into(), meta.into()], vec![(None, event)]);
        self.writer.commit(Plan { rows, events, ..Plan::default() })?;
        *changes = version;
        Ok(())
    }

    /// Registers the first callers of a new vault: those of the operator's own command line.
    ///
    /// # Errors
    /// As [`Vault::register`]; [`VaultError::Forbidden`] once anybody is registered.
    pub fn register_first(&self, registrations: &[Registration]) -> Result<(), VaultError> {
        if !self.store.clients(&PageRequest::first(1))?.items.is_empty() {
            return Err(VaultError::Forbidden);
        }
        registrations.iter().try_for_each(|registration| self.keep_registration(registration))
    }

    fn open_registration(&self, row: &store::Client) -> Result<Registration, VaultError> {
        let json = self.open_own("client", row.id.as_bytes(), row.sealed.as_bytes())?;
        let form: RegistrationForm = serde_json::from_slice(&json).map_err(|_| VaultError::Unreadable)?;
        form.try_into()
    }

    fn check_registration(&self, registration: &Registration) -> Result<(), VaultError> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, reason: String| {
            faults.push(FieldFault { field: field.into(), code: "field/invalid", reason });
        };
        let id = registration.id.as_bytes();
        let shaped = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(byte);
        if id.is_empty() || id.len() > ID_MAX || !id.iter().all(shaped) {
            fault("id", "must be 1 to 64 of a-z, 0-9, `-` and `.`".into());
        }
        if registration.role == Role::Holder {
            fault("role", "holders are not registered".into());
        }
        if matches!(registration.role, Role::Officer | Role::Clerk) && registration.organisation.is_none() {
            fault("organisation", "is required for officers and clerks".into());
        }
        if let Allowed::Only(slugs) = &registration.types {
            for slug in slugs.iter().filter(|slug| self.catalog.by_slug(slug).is_none()) {
                fault("types", format!("`{slug}` is no certificate type"));
            }
        }
        if let Allowed::Only(slugs) = &registration.scenarios {
            for slug in slugs.iter().filter(|slug| self.catalog.scenario(slug).is_none()) {
                fault("scenarios", format!("`{slug}` is no scenario"));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(VaultError::Invalid(faults)) }
    }
}

/// The stored shape of a registration.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RegistrationForm {
    id: String,
    role: String,
    organisation: Option<String>,
    name: String,
    keys: Vec<serde_json::Value>,
    types: Option<Vec<String>>,
    scenarios: Option<Vec<String>>,
    active: bool,
}

impl From<&Registration> for RegistrationForm {
    fn from(registration: &Registration) -> Self {
        let only = |allowed: &Allowed| match allowed {
            Allowed::All => None,
            Allowed::Only(slugs) => Some(slugs.clone()),
        };
        Self {
            id: registration.id.clone(),
            role: registration.role.name().to_string(),
            organisation: registration.organisation.map(|uscc| uscc.to_string()),
            name: registration.name.clone(),
            keys: registration.keys.iter().filter_map(|key| serde_json::from_str(&key.jwk()).ok()).collect(),
            types: only(&registration.types),
            scenarios: only(&registration.scenarios),
            active: registration.state == RegistrationState::Active,
        }
    }
}

impl TryFrom<RegistrationForm> for Registration {
    type Error = VaultError;

    fn try_from(form: RegistrationForm) -> Result<Self, VaultError> {
        let allowed = |slugs: Option<Vec<String>>| slugs.map_or(Allowed::All, Allowed::Only);
        let keys = form.keys.iter().map(PublicKey::from_jwk).collect::<Result<_, _>>();
        Ok(Self {
            id: form.id,
            role: Role::parse(&form.role).ok_or(VaultError::Unreadable)?,
            organisation: form
                .organisation
                .map(|text| text.parse())
                .transpose()
                .map_err(|_| VaultError::Unreadable)?,
            name: form.name,
            keys: keys.map_err(|_| VaultError::Unreadable)?,
            types: allowed(form.types),
            scenarios: allowed(form.scenarios),
            state: if form.active { RegistrationState::Active } else { RegistrationState::Withdrawn },
        })
    }
}

/// Registrations read at a time.
const PAGE: usize = 256;

/// Longest name of a registration.
const ID_MAX: usize = 64;
