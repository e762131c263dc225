//! Showing (亮证): one-time codes for agencies online, short-lived signed codes for the rest.
//!
//! An online code has 160 random bits, lives 60 seconds and is redeemed once, by one
//! registered agency. A showing may have several codes one after another, as the
//! holder's page refreshes; each keeps its own 60 seconds, and redeeming one voids its
//! siblings, because the showing itself goes. A typed code beside it has eight
//! characters, so it names one agency beforehand and tries are counted.
//!
//! # What is kept
//!
//! The showing, sealed; and for each code a keyed hash that leads to it. A code never
//! stands in a file. `GET /s/…` never redeems.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::guard::{self, Caller, Verb};
use super::unseal::OpenRecord;
use super::writer::{Condition, Plan, Refused};
use super::{Vault, VaultError};
use crate::catalog::CertificateType;
use crate::catalog::certificate_type::{FieldFault, HOLDER_NAME};
use crate::catalog::field::{Disclosable, Kind, Offline};
use crate::credential::offline;
use crate::credential::qr;
use crate::credential::show_key::{self, ShowKeyCertificate};
use crate::domain::claims::Value;
use crate::domain::number::CertificateIdentifier;
use crate::domain::time::UnixTime;
use crate::domain::uscc::Uscc;
use crate::keys::random;
use crate::keys::soft::SoftSigner;
use crate::keys::{PublicKey, Signer};
use crate::store::{HolderId, RowId, RowKey, ShowCode, Showing, ShowingId, Tag};

/// What a holder wants to show.
#[derive(Clone)]
pub struct ShowOrder {
    /// Which certificates, and which of their fields.
    pub items: Vec<ShowItem>,
    /// In which scenario, if the holder knows.
    pub scenario: Option<String>,
    /// To which agency, if the holder knows.
    pub agency: Option<Uscc>,
    /// For what, in the holder's words.
    pub purpose: String,
    /// The showing that this is a fresh code of.
    pub continues: Option<String>,
}

/// One certificate to be shown.
#[derive(Clone)]
pub struct ShowItem {
    /// The certificate.
    pub identifier: CertificateIdentifier,
    /// Keys of the fields; absent is the least that the scenario needs.
    pub fields: Option<Vec<String>>,
}

/// A code that was made.
#[derive(Clone)]
pub struct Shown {
    /// The showing, for refreshing and ending it.
    pub id: String,
    /// 32 characters of base32.
    pub code: String,
    /// What the QR says.
    pub qr_text: String,
    /// Eight characters for typing, when the agency is named.
    pub typed_code: Option<String>,
    /// Until when it may be redeemed.
    pub expires_at: UnixTime,
    /// What it shows: certificates and field keys.
    pub items: Vec<(CertificateIdentifier, Vec<String>)>,
}

/// An offline code that a holder wants.
#[derive(Clone)]
pub struct OfflineOrder {
    /// The certificate.
    pub identifier: CertificateIdentifier,
    /// Keys of the fields; absent is the type's offline default.
    pub fields: Option<Vec<String>>,
}

/// An offline code that was made.
#[derive(Clone)]
pub struct OfflineShown {
    /// `KB1:…`.
    pub text: String,
    /// Until when it is accepted.
    pub expires_at: UnixTime,
    /// Which fields it carries.
    pub fields: Vec<String>,
}

/// The stored shape of a showing.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShowingForm {
    pub(super) holder: String,
    pub(super) items: Vec<ShowingItemForm>,
    pub(super) scenario: Option<String>,
    pub(super) agency: Option<String>,
    pub(super) purpose: String,
}

/// The stored shape of one certificate of a showing.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShowingItemForm {
    pub(super) row: String,
    pub(super) identifier: String,
    /// `None`: the least of whatever scenario the agency names.
    pub(super) fields: Option<Vec<String>>,
    /// Whether the holder left the choice to the scenario, its questions with it.
    pub(super) by_scenario: bool,
}

impl ShowingItemForm {
    pub(super) fn row_key(&self) -> Result<RowKey, VaultError> {
        let mut key = [0; 16];
        hex::decode_to_slice(&self.row, &mut key).map_err(|_| VaultError::Unreadable)?;
        Ok(RowKey(key))
    }
}

/// The show key of these hours, certified by the show authority. It lives in memory only.
#[derive(Default)]
pub struct ShowKeys(Mutex<Option<Arc<ShowKey>>>);

struct ShowKey {
    signer: SoftSigner,
    certificate: ShowKeyCertificate,
    until: UnixTime,
}

/// Wrong typed codes per agency and minute.
#[derive(Default)]
pub struct TypedTries(Mutex<BTreeMap<String, (i64, u32)>>);

impl TypedTries {
    /// Counts a try; `false` when the minute's tries are used up.
    fn allow(&self, agency: &str, now: UnixTime) -> bool {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tries.retain(|_, (minute, _)| *minute == now.minutes());
        let (_, count) = tries.entry(agency.to_string()).or_insert((now.minutes(), 0));
        *count += 1;
        *count <= TYPED_TRIES_MAX
    }
}

impl Vault {
    /// Makes a one-time code.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] for a certificate the caller does not hold,
    /// [`VaultError::Invalid`] for fields it does not have.
    pub fn show(&self, caller: &Caller, order: ShowOrder) -> Result<Shown, VaultError> {
        guard::admit(caller, Verb::Show)?;
        let holder = self.holder_of(caller)?.ok_or(VaultError::NotFound)?;
        let form = self.showing_form(caller, holder, &order)?;
        let now = self.now();
        let expires = now.plus(CODE_SECONDS);
        let mut plan = Plan::default();
        let id = match &order.continues {
            None => ShowingId(self.fresh()?),
            Some(id) => {
                let id = showing_id(id)?;
                let before = self.open_showing(id)?.ok_or(VaultError::NotFound)?;
                if before.holder != form.holder {
                    return Err(VaultError::NotFound);
                }
                plan.conditions.push(Condition::ShowingOpen(id));
                id
            }
        };
        let json = serde_json::to_vec(&form).map_err(|_| VaultError::Unreadable)?;
        let sealed = self.seal_own("showing", &id.0, &json)?;
        plan.rows.push(Showing { id, expires, sealed: sealed.into() }.into());
        let code = base32(&self.fresh::<20>()?, BASE32);
        plan.rows.push(ShowCode { tag: self.code_tag(&code), expires, id }.into());
        let mut typed_code = None;
        if let Some(agency) = order.agency {
            let typed = base32(&self.fresh::<5>()?, CROCKFORD);
            plan.rows.push(ShowCode { tag: self.typed_tag(agency, &typed), expires, id }.into());
            typed_code = Some(format!("{}-{}", &typed[..4], &typed[4..]));
        }
        match self.writer.commit(plan) {
            Ok(_) => {}
            Err(Refused::Moved(_)) => return Err(VaultError::NotFound),
            Err(refused) => return Err(refused.into()),
        }
        let qr_text = qr::online_text(&self.settings.url, &code).map_err(|_| VaultError::TooLong)?;
        let items = self.items_shown(&form)?;
        Ok(Shown { id: hex::encode(id.0), code, qr_text, typed_code, expires_at: expires, items })
    }

    /// Ends a showing: none of its codes is accepted any more. Ending it twice is no fault.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] for somebody else's showing.
    pub fn end_showing(&self, caller: &Caller, id: &str) -> Result<(), VaultError> {
        guard::admit(caller, Verb::Show)?;
        let holder = self.holder_of(caller)?.ok_or(VaultError::NotFound)?;
        let id = showing_id(id)?;
        let Some(form) = self.open_showing(id)? else { return Ok(()) };
        if form.holder != hex::encode(holder.0) {
            return Err(VaultError::NotFound);
        }
        self.writer.commit(Plan { rows: vec![RowId::Showing(id).into()], ..Plan::default() })?;
        Ok(())
    }

    /// Makes an offline code: disclosed fields with the status stapled, signed by the show key of these hours.
    ///
    /// # Errors
    /// [`VaultError::TooLong`] when the fields picked do not fit.
    pub fn show_offline(&self, caller: &Caller, order: OfflineOrder) -> Result<OfflineShown, VaultError> {
        guard::admit(caller, Verb::Show)?;
        let (holder, open) = self.held(caller, &order.identifier)?;
        let kind = self.type_of(&open.record)?;
        let keys: Vec<String> = match &order.fields {
            None => kind.all_fields().filter(|f| f.offline == Offline::Yes).map(|f| f.key.clone()).collect(),
            Some(keys) => {
                check_fields(kind, keys)?;
                keys.clone()
            }
        };
        let now = self.now();
        let expires = now.plus(OFFLINE_SECONDS);
        let plan = self.offline_plan(kind, &open, holder, &keys, now, expires)?;
        let show_key = self.show_key(now)?;
        let text = plan.sign(&show_key.signer, &show_key.certificate).map_err(|error| {
            tracing::warn!(error.code = error.code(), "an offline code could not be made");
            VaultError::TooLong
        })?;
        let fields = keys.into_iter().filter(|key| open.record.claims.value(key).is_some()).collect();
        Ok(OfflineShown { text, expires_at: expires, fields })
    }

    /// The public key of the show key at work, for the tour and for tests.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] when the show authority cannot be reached.
    pub fn show_public_key(&self) -> Result<PublicKey, VaultError> {
        Ok(self.show_key(self.now())?.signer.public_key().clone())
    }

    fn offline_plan(
        &self,
        kind: &CertificateType,
        open: &OpenRecord,
        holder: HolderId,
        keys: &[String],
        now: UnixTime,
        expires: UnixTime,
    ) -> Result<offline::Plan, VaultError> {
        let record = &open.record;
        let credential = record.credentials.first().ok_or(VaultError::NotFound)?;
        let mut claims = BTreeMap::new();
        for key in keys {
            let (Some(field), Some(value)) = (kind.field(key), record.claims.value(key)) else { continue };
            let own = record.holders.iter().find(|found| found.id == holder);
            let value = match own {
                // One of several: the names of the others are theirs to show, and twenty do not fit.
                Some(own) if key == HOLDER_NAME && record.holders.len() > 1 => Value::Text(own.name.clone()),
                _ => value.clone(),
            };
            claims.insert(field.number, value);
        }
        let issuer = record.issuer().ok_or(VaultError::Unreadable)?;
        let last = record.valid_until().map_or(expires, |last| last.ends_at().min(expires));
        Ok(offline::Plan {
            issuer,
            certificate_type: kind.code(),
            type_version: record.type_version,
            identifier: record.identifier.clone(),
            list: credential.list,
            index: credential.index,
            status: record.state.status_bits(),
            good_at: now,
            issued_at: now,
            // A code never outlives its certificate; one that has ended is refused by its own dates.
            expires_at: last.max(now.plus(1)),
            claims,
        })
    }

    fn show_key(&self, now: UnixTime) -> Result<Arc<ShowKey>, VaultError> {
        let mut held = self.show_keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = held.as_ref().filter(|key| now < key.until) {
            return Ok(Arc::clone(key));
        }
        let signer = SoftSigner::ed25519(&self.fresh::<32>()?);
        let expires_at = now.plus(SHOW_KEY_SECONDS + OFFLINE_SECONDS);
        let plan = show_key::Plan {
            key: signer.public_key().clone(),
            not_before: now.minus(SHOW_KEY_BEFORE_SECONDS),
            expires_at,
        };
        let certificate =
            plan.sign(self.keyring.show_authority.as_ref()).map_err(|_| VaultError::Unreadable)?;
        let key = Arc::new(ShowKey { signer, certificate, until: now.plus(SHOW_KEY_SECONDS) });
        *held = Some(Arc::clone(&key));
        Ok(key)
    }

    fn showing_form(
        &self,
        caller: &Caller,
        holder: HolderId,
        order: &ShowOrder,
    ) -> Result<ShowingForm, VaultError> {
        let fault = |field: &str, reason: &str| {
            let fault = FieldFault { field: field.into(), code: "field/invalid", reason: reason.into() };
            Err(VaultError::Invalid(vec![fault]))
        };
        if order.items.is_empty() || order.items.len() > ITEMS_MAX {
            return fault("items", "must name 1 to 10 certificates");
        }
        if order.purpose.chars().count() > PURPOSE_MAX || order.purpose.chars().any(char::is_control) {
            return fault("purpose", "must have at most 200 characters");
        }
        let scenario = match &order.scenario {
            None => None,
            Some(slug) => match self.catalog.scenario(slug) {
                None => return fault("scenario", "is no scenario"),
                Some(scenario) => Some(scenario),
            },
        };
        let mut items = Vec::with_capacity(order.items.len());
        for item in &order.items {
            let (_, open) = self.held(caller, &item.identifier)?;
            let kind = self.type_of(&open.record)?;
            if let Some(keys) = &item.fields {
                check_fields(kind, keys)?;
            }
            let fields = match (&item.fields, scenario) {
                (Some(keys), _) => Some(keys.clone()),
                (None, Some(scenario)) => Some(scenario.fields_of(kind.slug()).map(str::to_string).collect()),
                (None, None) => None,
            };
            let (row, identifier) = (hex::encode(open.key.0), item.identifier.to_string());
            let by_scenario = item.fields.is_none();
            items.push(ShowingItemForm { row, identifier, fields, by_scenario });
        }
        Ok(ShowingForm {
            holder: hex::encode(holder.0),
            items,
            scenario: order.scenario.clone(),
            agency: order.agency.map(|agency| agency.to_string()),
            purpose: order.purpose.clone(),
        })
    }

    fn items_shown(
        &self,
        form: &ShowingForm,
    ) -> Result<Vec<(CertificateIdentifier, Vec<String>)>, VaultError> {
        let parsed = form.items.iter().map(|item| {
            let identifier = CertificateIdentifier::parse_foreign(&item.identifier);
            identifier.map(|identifier| (identifier, item.fields.clone().unwrap_or_default()))
        });
        parsed.collect::<Result<_, _>>().map_err(|_| VaultError::Unreadable)
    }

    /// The showing behind a code that this agency may redeem now: the code's row, the showing and its content.
    ///
    /// Whatever is wrong with a code, the answer is [`VaultError::CodeRefused`].
    pub(super) fn showing_behind(
        &self,
        text: &str,
        caller: &Caller,
        agency: Uscc,
        now: UnixTime,
    ) -> Result<(ShowCode, ShowingForm), VaultError> {
        let tag = match read_code(text, &self.settings.url).ok_or(VaultError::CodeRefused)? {
            CodeText::Scanned(code) => self.code_tag(&code),
            CodeText::Typed(code) => {
                if !self.typed_tries.allow(&caller.id, now) {
                    tracing::warn!(alert = "typed-code-tries", caller.id, "an agency tries typed codes");
                    return Err(VaultError::CodeRefused);
                }
                self.typed_tag(agency, &code)
            }
        };
        let code =
            self.store.show_code(tag)?.filter(|code| now <= code.expires).ok_or(VaultError::CodeRefused)?;
        let form = self.open_showing(code.id)?.ok_or(VaultError::CodeRefused)?;
        if form.agency.as_deref().is_some_and(|named| named != agency.as_str()) {
            return Err(VaultError::CodeRefused);
        }
        Ok((code, form))
    }

    fn open_showing(&self, id: ShowingId) -> Result<Option<ShowingForm>, VaultError> {
        let Some(row) = self.store.showing(id)? else { return Ok(None) };
        let json = self.open_own("showing", &id.0, row.sealed.as_bytes())?;
        serde_json::from_slice(&json).map(Some).map_err(|_| VaultError::Unreadable)
    }

    fn code_tag(&self, code: &str) -> Tag {
        self.tags("show-code", &[code.as_bytes()])[0]
    }

    /// The agency is part of the hash, so no other agency can even ask.
    fn typed_tag(&self, agency: Uscc, code: &str) -> Tag {
        self.tags("typed-code", &[agency.as_str().as_bytes(), code.as_bytes()])[0]
    }

    pub(super) fn fresh<const N: usize>(&self) -> Result<[u8; N], VaultError> {
        random::bytes(self.random.as_ref()).map_err(|_| VaultError::Unreadable)
    }
}

/// A code as it was scanned or typed.
enum CodeText {
    Scanned(String),
    Typed(String),
}

/// Reads `HTTPS://HOST/S/CODE` of our own host, the bare code, or a typed code. Never follows a foreign address.
fn read_code(text: &str, url: &str) -> Option<CodeText> {
    if text.len() > CODE_TEXT_MAX {
        return None;
    }
    let text = text.trim().to_ascii_uppercase();
    let ours = format!("{}/S/", url.to_ascii_uppercase());
    let bare = match text.strip_prefix(&ours) {
        Some(code) => code.to_string(),
        None => text.chars().filter(|character| !matches!(character, '-' | ' ')).collect(),
    };
    match bare.len() {
        32 if bare.bytes().all(|byte| BASE32.contains(&byte)) => Some(CodeText::Scanned(bare)),
        8 => {
            // Crockford's alphabet reads what people mistake: O for 0, I and L for 1.
            let read: String = bare
                .chars()
                .map(|c| match c {
                    'O' => '0',
                    'I' | 'L' => '1',
                    other => other,
                })
                .collect();
            read.bytes().all(|byte| CROCKFORD.contains(&byte)).then_some(CodeText::Typed(read))
        }
        _ => None,
    }
}

/// Refuses fields the type does not have or may not disclose.
fn check_fields(kind: &CertificateType, keys: &[String]) -> Result<(), VaultError> {
    let faults: Vec<FieldFault> = keys
        .iter()
        .filter(|key| {
            kind.field(key)
                .is_none_or(|field| field.disclosable == Disclosable::No || matches!(field.kind, Kind::Photo))
        })
        .map(|key| FieldFault {
            field: key.clone(),
            code: "field/unknown",
            reason: "is no field of this certificate that can be shown".into(),
        })
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(VaultError::Invalid(faults)) }
}

fn showing_id(text: &str) -> Result<ShowingId, VaultError> {
    let mut id = [0; 16];
    hex::decode_to_slice(text, &mut id).map_err(|_| VaultError::NotFound)?;
    Ok(ShowingId(id))
}

/// Five bits a character, no padding: whole for 5 and 20 bytes.
fn base32(bytes: &[u8], alphabet: &[u8; 32]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let place = usize::try_from((held >> bits) & 31).expect("below 32");
            text.push(char::from(alphabet[place]));
        }
        held &= (1 << bits) - 1;
    }
    text
}

/// RFC 4648 section 6.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Crockford's base32: nothing that is mistaken for something else.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// How long an online code lives (DESIGN, "Showing and verifying").
pub const CODE_SECONDS: i64 = 60;

/// How long an offline code lives: the most that DESIGN allows.
pub const OFFLINE_SECONDS: i64 = 300;

/// How long a show key signs.
pub(super) const SHOW_KEY_SECONDS: i64 = 6 * 3600;

/// A show key begins so long before it is made: clocks of verifiers may be behind.
pub(super) const SHOW_KEY_BEFORE_SECONDS: i64 = 60;

/// Certificates under one code. Our own choice.
const ITEMS_MAX: usize = 10;

/// Longest purpose in characters (STANDARDS 1.6).
const PURPOSE_MAX: usize = 200;

/// Tries of typed codes of one agency in a minute (DESIGN).
const TYPED_TRIES_MAX: u32 = 5;

/// Longest text that may hold a code.
const CODE_TEXT_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_scanned_as_typed_and_never_from_another_host() {
        let url = "https://kabao.example.org";
        let code = base32(&[0xa5; 20], BASE32);
        assert_eq!(code.len(), 32);
        let scanned =
            |text: &str| matches!(read_code(text, url), Some(CodeText::Scanned(read)) if read == code);
        assert!(scanned(&format!("HTTPS://KABAO.EXAMPLE.ORG/S/{code}")));
        assert!(scanned(&format!("https://kabao.example.org/s/{}", code.to_lowercase())));
        assert!(scanned(&code));
        assert!(read_code(&format!("HTTPS://EVIL.EXAMPLE.ORG/S/{code}"), url).is_none());
        assert!(matches!(read_code("abcd-0o1l", url), Some(CodeText::Typed(read)) if read == "ABCD0011"));
        assert!(read_code("ABCD-00U1", url).is_none());
    }

    #[test]
    fn base32_is_rfc_4648() {
        assert_eq!(base32(b"fooba", BASE32), "MZXW6YTB");
    }

    #[test]
    fn five_tries_a_minute() {
        let tries = TypedTries::default();
        let now = UnixTime::clamped(600);
        assert!((0..5).all(|_| tries.allow("bank", now)));
        assert!(!tries.allow("bank", now));
        assert!(tries.allow("bank", now.plus(60)) && tries.allow("hotel", now));
    }
}
