//! Showings, accesses and revocations.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::credential::qr::{Level, Qr};
use crate::domain::uscc::Uscc;
use crate::http::body::parse_identifier;
use crate::http::problem::Problem;
use crate::vault::audit::RevocationView;
use crate::vault::showing::{OfflineOrder, OfflineShown, ShowItem, ShowOrder, Shown};
use crate::vault::wallet::{AccessView, Paged};

/// Certificates to show under one code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ShowingBody {
    /// What is shown.
    items: Vec<ShowingItem>,
    /// What for, by slug: then only what the scenario needs is shown.
    scenario: Option<String>,
    /// The agency, if it is known beforehand, by social credit code. It gets a typed code too.
    agency: Option<String>,
    /// What for, in the holder's words.
    #[serde(default)]
    purpose: String,
    /// The showing that this code refreshes.
    continues: Option<String>,
    /// With a picture of the QR: `svg` or `png`.
    qr: Option<Picture>,
}

/// One certificate to show.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ShowingItem {
    /// 电子证照标识.
    identifier: String,
    /// Which fields; when absent, the least that the scenario needs.
    fields: Option<Vec<String>>,
}

/// The form of a QR's picture.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::http) enum Picture {
    /// PNG, in base64.
    Png,
    /// SVG, as text.
    Svg,
}

impl ShowingBody {
    /// The order it stands for, and the picture wanted with it.
    pub(in crate::http) fn order(self) -> Result<(ShowOrder, Option<Picture>), Problem> {
        let mut items = Vec::with_capacity(self.items.len());
        for item in self.items {
            items.push(ShowItem { identifier: parse_identifier(&item.identifier)?, fields: item.fields });
        }
        let agency = self.agency.map(|text| {
            let reason = "is not a social credit code";
            text.parse::<Uscc>().map_err(|_| Problem::invalid_field("agency", reason))
        });
        let order = ShowOrder {
            items,
            scenario: self.scenario,
            agency: agency.transpose()?,
            purpose: self.purpose,
            continues: self.continues,
        };
        Ok((order, self.qr))
    }
}

/// A code that is alive.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ShowingView {
    /// Its name, to end or refresh it.
    id: String,
    /// The code.
    code: String,
    /// What the QR says.
    qr_text: String,
    /// The code to type, when the agency was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    typed_code: Option<String>,
    /// Until when it can be redeemed.
    expires_at: String,
    /// What it shows.
    items: Vec<ShownItem>,
    /// The picture of the QR, if asked for: SVG text, or PNG in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::http) qr: Option<String>,
}

/// One certificate shown.
#[derive(Serialize, ToSchema)]
struct ShownItem {
    /// 电子证照标识.
    identifier: String,
    /// The fields, by key.
    fields: Vec<String>,
}

impl ShowingView {
    pub(in crate::http) fn new(shown: Shown, qr: Option<String>) -> Self {
        let item = |(identifier, fields): (crate::domain::number::CertificateIdentifier, _)| ShownItem {
            identifier: identifier.to_string(),
            fields,
        };
        Self {
            id: shown.id,
            code: shown.code,
            qr_text: shown.qr_text,
            typed_code: shown.typed_code,
            expires_at: shown.expires_at.to_string(),
            items: shown.items.into_iter().map(item).collect(),
            qr,
        }
    }
}

/// A certificate to show where there is no network.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct OfflineBody {
    /// 电子证照标识.
    identifier: String,
    /// Which fields; when absent, the type's offline default.
    fields: Option<Vec<String>>,
    /// With a picture of the QR: `svg` or `png`.
    qr: Option<Picture>,
}

impl OfflineBody {
    /// The order it stands for, and the picture wanted with it.
    pub(in crate::http) fn order(self) -> Result<(OfflineOrder, Option<Picture>), Problem> {
        let order = OfflineOrder { identifier: parse_identifier(&self.identifier)?, fields: self.fields };
        Ok((order, self.qr))
    }
}

/// An offline code.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct OfflineView {
    /// What the QR says: `KB1:` and base45.
    text: String,
    /// Until when it is accepted.
    expires_at: String,
    /// The fields in it, by key.
    fields: Vec<String>,
    /// The picture of the QR, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    qr: Option<String>,
}

impl OfflineView {
    pub(in crate::http) fn new(shown: OfflineShown, qr: Option<String>) -> Self {
        Self { text: shown.text, expires_at: shown.expires_at.to_string(), fields: shown.fields, qr }
    }
}

/// The picture of a text as QR: SVG as text, PNG in base64.
pub(in crate::http) fn pictured(text: &str, picture: Picture) -> Result<String, Problem> {
    let qr = Qr::new(text, Level::M, QR_VERSION_MAX).map_err(|_| Problem::fault())?;
    match picture {
        Picture::Png => {
            qr.png(QR_MODULE_PIXELS).map(|png| STANDARD.encode(png)).map_err(|_| Problem::fault())
        }
        Picture::Svg => Ok(qr.svg()),
    }
}

/// Who looked.
#[derive(Serialize, ToSchema)]
struct AccessBody {
    /// When.
    at: String,
    /// The agency's social credit code.
    agency: String,
    /// Its name.
    agency_name: String,
    /// In which scenario.
    scenario: String,
    /// The agency's business number.
    case: String,
    /// At which certificate.
    identifier: String,
    /// At which fields, by key; never their values.
    fields: Vec<String>,
    /// How the verification came out.
    decision: String,
}

/// A page of accesses.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct AccessPage {
    /// Newest first.
    items: Vec<AccessBody>,
    /// Send it as `cursor` for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl From<Paged<AccessView>> for AccessPage {
    fn from(page: Paged<AccessView>) -> Self {
        let body = |access: AccessView| AccessBody {
            at: access.at.to_string(),
            agency: access.agency,
            agency_name: access.agency_name,
            scenario: access.scenario,
            case: access.case,
            identifier: access.identifier,
            fields: access.fields,
            decision: access.decision,
        };
        Self { items: page.items.into_iter().map(body).collect(), next: page.next }
    }
}

/// A change of a certificate's state, as auditors see it: no name, no number.
#[derive(Serialize, ToSchema)]
struct RevocationBody {
    /// When it was recorded.
    at: String,
    /// When it takes effect.
    effective_at: String,
    /// Social credit code of the department.
    issuer: String,
    /// Its name.
    issuer_name: String,
    /// What was done.
    kind: &'static str,
    /// The same in Chinese.
    kind_name: &'static str,
    /// Code of the reason.
    reason: String,
    /// The rule it rests on.
    legal_basis: String,
    /// Index of the log entry.
    entry: u64,
    /// Slug of the type.
    #[serde(rename = "type")]
    certificate_type: String,
    /// Status list; absent when the record can no longer be opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<u32>,
    /// Slot in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
}

/// A page of changes.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct RevocationPage {
    /// Oldest first.
    items: Vec<RevocationBody>,
    /// Send it as `cursor` for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl From<Paged<RevocationView>> for RevocationPage {
    fn from(page: Paged<RevocationView>) -> Self {
        let body = |change: RevocationView| RevocationBody {
            at: change.at.to_string(),
            effective_at: change.effective_at.to_string(),
            issuer: change.issuer,
            issuer_name: change.issuer_name,
            kind: change.kind.name(),
            kind_name: change.kind.zh(),
            reason: change.reason,
            legal_basis: change.legal_basis,
            entry: change.entry,
            certificate_type: change.type_slug,
            list: change.slot.map(|(list, _)| list),
            index: change.slot.map(|(_, index)| index),
        };
        Self { items: page.items.into_iter().map(body).collect(), next: page.next }
    }
}

/// Pixels of one module: large enough for a phone at arm's length.
const QR_MODULE_PIXELS: u8 = 8;

/// The finest that an offline code may be (DESIGN).
const QR_VERSION_MAX: u8 = 20;
