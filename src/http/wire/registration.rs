//! Registrations: who may call, in which part, with which keys.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::uscc::Uscc;
use crate::http::problem::Problem;
use crate::keys::PublicKey;
use crate::vault::guard::Role;
use crate::vault::registry::{Allowed, Registration, RegistrationState};

/// Somebody to register.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RegistrationBody {
    /// Its name in tokens: 1 to 64 of a-z, 0-9, `-` and `.`.
    id: String,
    /// The part it plays, such as `officer`, `clerk` or `auditor`.
    role: String,
    /// Social credit code of the organisation it acts for.
    organisation: Option<String>,
    /// The organisation's name.
    name: String,
    /// Public keys (JWK) with which it authenticates.
    #[schema(value_type = Vec<Value>)]
    keys: Vec<Value>,
    /// Slugs of the types it issues; absent allows none.
    types: Option<AllowedBody>,
    /// Slugs of the scenarios it asks in; absent allows none.
    scenarios: Option<AllowedBody>,
}

/// `"all"`, or a list of slugs.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
enum AllowedBody {
    /// `"all"`.
    Word(Everything),
    /// These.
    List(Vec<String>),
}

/// `"all"`.
#[derive(Deserialize, Serialize, ToSchema)]
enum Everything {
    #[serde(rename = "all")]
    All,
}

impl RegistrationBody {
    /// The registration it stands for.
    pub(in crate::http) fn registration(self) -> Result<Registration, Problem> {
        let role = Role::parse(&self.role)
            .ok_or_else(|| Problem::invalid_field("role", "is not a role that exists"))?;
        let organisation = self.organisation.map(|text| {
            let reason = "is not a social credit code";
            text.parse::<Uscc>().map_err(|_| Problem::invalid_field("organisation", reason))
        });
        let mut keys = Vec::with_capacity(self.keys.len());
        for jwk in &self.keys {
            if jwk.get("d").is_some() {
                let reason = "holds a private key; make a new one, and send only its public part";
                return Err(Problem::invalid_field("keys", reason));
            }
            let reason = "must be public Ed25519 or P-256 keys as JWK";
            keys.push(PublicKey::from_jwk(jwk).map_err(|_| Problem::invalid_field("keys", reason))?);
        }
        Ok(Registration {
            id: self.id,
            role,
            organisation: organisation.transpose()?,
            name: self.name,
            keys,
            types: allowed(self.types),
            scenarios: allowed(self.scenarios),
            state: RegistrationState::Active,
        })
    }
}

fn allowed(body: Option<AllowedBody>) -> Allowed {
    match body {
        None => Allowed::Only(vec![]),
        Some(AllowedBody::List(slugs)) => Allowed::Only(slugs),
        Some(AllowedBody::Word(Everything::All)) => Allowed::All,
    }
}

/// A registration.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct RegistrationView {
    /// Its name in tokens.
    id: String,
    /// The part it plays.
    role: &'static str,
    /// Social credit code of the organisation it acts for.
    #[serde(skip_serializing_if = "Option::is_none")]
    organisation: Option<String>,
    /// The organisation's name.
    name: String,
    /// Thumbprints (RFC 7638) of its keys.
    keys: Vec<String>,
    /// Types it issues.
    types: AllowedBody,
    /// Scenarios it asks in.
    scenarios: AllowedBody,
    /// `active` or `withdrawn`.
    state: &'static str,
}

impl From<&Registration> for RegistrationView {
    fn from(registration: &Registration) -> Self {
        let body = |allowed: &Allowed| match allowed {
            Allowed::All => AllowedBody::Word(Everything::All),
            Allowed::Only(slugs) => AllowedBody::List(slugs.clone()),
        };
        Self {
            id: registration.id.clone(),
            role: registration.role.name(),
            organisation: registration.organisation.map(|uscc| uscc.to_string()),
            name: registration.name.clone(),
            keys: registration.keys.iter().map(PublicKey::kid).collect(),
            types: body(&registration.types),
            scenarios: body(&registration.scenarios),
            state: match registration.state {
                RegistrationState::Active => "active",
                RegistrationState::Withdrawn => "withdrawn",
            },
        }
    }
}

/// Every registration.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct RegistrationList {
    /// In the order of their names.
    items: Vec<RegistrationView>,
}

impl From<&[Registration]> for RegistrationList {
    fn from(registrations: &[Registration]) -> Self {
        Self { items: registrations.iter().map(RegistrationView::from).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_allows_nothing_that_it_does_not_say() {
        let text = r#"{"id":"a","role":"clerk","name":"n","keys":[],"scenarios":"all"}"#;
        let body: RegistrationBody = serde_json::from_str(text).unwrap();
        let registration = body.registration().unwrap();
        assert_eq!(registration.types, Allowed::Only(vec![]));
        assert_eq!(registration.scenarios, Allowed::All);
        let text = r#"{"id":"a","role":"clerk","name":"n","keys":[],"types":"none"}"#;
        assert!(serde_json::from_str::<RegistrationBody>(text).is_err());
    }
}
