//! A use that certificates are put to (用证场景): which types, and the least of each.
//!
//! An agency asks within a scenario it is registered for and for nothing more:
//! [`Scenario::allows`] is that rule.

use super::Bilingual;

/// One use: what it needs of which certificates.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scenario {
    pub(super) slug: String,
    pub(super) row: u16,
    pub(super) name: Bilingual,
    pub(super) needs: Vec<Need>,
}

/// One certificate that a use needs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Need {
    /// As the source names it, for people.
    pub name: String,
    /// Slugs of the types that will do: any one of them.
    pub types: Vec<String>,
    /// Keys of the fields it may see.
    pub fields: Vec<String>,
    /// Yes-or-no questions the vault answers instead of showing a field.
    pub predicates: Vec<Predicate>,
}

/// A question about a certificate, evaluated by the vault and covered by the receipt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Predicate {
    /// Name of the answer.
    pub key: String,
    /// What is asked.
    pub label: Bilingual,
    /// The question.
    pub question: Question,
}

/// The closed set of questions.
#[expect(missing_docs, reason = "`field` is a key of the type, `value` what it is held against")]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Question {
    /// The number, or the years since the date, in `field` is at least `value`.
    AtLeast { field: String, value: i64 },
    /// How many certificates of these types the holder has in force.
    Count,
    /// The field holds exactly this.
    Equals { field: String, value: String },
    /// The field holds what the agency supplies.
    Match { field: String },
    /// The certificate is in force.
    Valid,
}

impl Scenario {
    /// Name of its file without the ending.
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// Its row in the catalogue of scenarios.
    pub fn row(&self) -> u16 {
        self.row
    }

    /// What it is called.
    pub fn name(&self) -> &Bilingual {
        &self.name
    }

    /// What it needs.
    pub fn needs(&self) -> &[Need] {
        &self.needs
    }

    /// Whether an agency may see this field of a certificate of this type in this use.
    pub fn allows(&self, slug: &str, field: &str) -> bool {
        self.fields_of(slug).any(|allowed| allowed == field)
    }

    /// Whether certificates of this type belong in this use at all.
    pub fn takes(&self, slug: &str) -> bool {
        self.needs.iter().any(|need| need.types.iter().any(|candidate| candidate == slug))
    }

    /// The fields of this type that an agency may see in this use.
    pub fn fields_of(&self, slug: &str) -> impl Iterator<Item = &str> {
        self.needs
            .iter()
            .filter(move |need| need.types.iter().any(|candidate| candidate == slug))
            .flat_map(|need| need.fields.iter().map(String::as_str))
    }
}
