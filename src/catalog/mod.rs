//! The kinds of certificate and the uses they are put to: data, not code.
//!
//! A [`Catalog`] is read once, at start, from `schemas/` inside the binary or from
//! a folder of the same shape. It is whole and consistent: every code, slug, field
//! key and field number is unique in its place, every offline code fits its budget,
//! and every scenario asks for fields that its types have. A file with a mistake is
//! refused with its name, line and reason, and nothing is half loaded.
//!
//! Adding a certificate type takes one file and no Rust.

pub mod certificate_type;
pub mod field;
pub mod scenario;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

pub use self::certificate_type::CertificateType;
pub use self::field::{Field, Kind};
pub use self::scenario::Scenario;
use crate::domain::type_code::TypeCode;

/// A text in Chinese and English. Neither is empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bilingual {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// All certificate types and scenarios, whole and consistent.
#[derive(Debug)]
pub struct Catalog {
    types: Vec<CertificateType>,
    by_code: BTreeMap<TypeCode, usize>,
    by_slug: BTreeMap<String, usize>,
    aliases: BTreeMap<String, Vec<String>>,
    scenarios: BTreeMap<String, Scenario>,
}

/// The types and scenarios of `schemas/`, inside the binary.
#[derive(rust_embed::RustEmbed)]
#[folder = "schemas"]
#[include = "*.toml"]
struct Embedded;

impl Catalog {
    /// The catalogue inside the binary.
    ///
    /// # Errors
    /// The first mistake of each file, all files together.
    pub fn embedded() -> Result<Self, CatalogError> {
        let mut files = Vec::new();
        for name in Embedded::iter() {
            let file = Embedded::get(&name).expect("listed by the same folder");
            let text = String::from_utf8_lossy(&file.data).into_owned();
            files.push((name.to_string(), text));
        }
        Self::from_files(files)
    }

    /// The catalogue inside the binary, with the files of a folder (`types/`, `scenarios/`,
    /// `states.toml`, `aliases.toml`) added; a file of the same name replaces ours.
    ///
    /// # Errors
    /// As [`Catalog::embedded`]; a folder that cannot be read is a mistake of its own.
    pub fn with_folder(folder: &Path) -> Result<Self, CatalogError> {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        for name in Embedded::iter() {
            let file = Embedded::get(&name).expect("listed by the same folder");
            files.insert(name.to_string(), String::from_utf8_lossy(&file.data).into_owned());
        }
        for below in ["", "types", "scenarios"] {
            let place = folder.join(below);
            let Ok(entries) = std::fs::read_dir(&place) else {
                if below.is_empty() {
                    return Err(CatalogError::of(
                        &place.display().to_string(),
                        0,
                        "cannot be read as a folder",
                    ));
                }
                continue;
            };
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if !name.ends_with(".toml") {
                    continue;
                }
                let key = if below.is_empty() { name } else { format!("{below}/{name}") };
                let text = std::fs::read_to_string(entry.path())
                    .map_err(|_| CatalogError::of(&key, 0, "cannot be read as UTF-8 text"))?;
                files.insert(key, text);
            }
        }
        Self::from_files(files.into_iter().collect())
    }

    /// Reads named files: `types/<slug>.toml`, `scenarios/<slug>.toml`, `states.toml`, `aliases.toml`.
    ///
    /// # Errors
    /// The first mistake of each file, all files together.
    pub fn from_files(mut files: Vec<(String, String)>) -> Result<Self, CatalogError> {
        files.sort();
        let mut faults = Vec::new();
        let states = source::states(&files, &mut faults);
        let mut types = Vec::new();
        for (name, text) in &files {
            let Some(slug) = name.strip_prefix("types/").and_then(|rest| rest.strip_suffix(".toml")) else {
                continue;
            };
            match source::certificate_type(slug, name, text, &states) {
                Ok(certificate_type) => types.push(certificate_type),
                Err(fault) => faults.push(fault),
            }
        }
        let mut catalog = Self {
            by_code: BTreeMap::new(),
            by_slug: BTreeMap::new(),
            aliases: source::aliases(&files, &mut faults),
            scenarios: BTreeMap::new(),
            types,
        };
        catalog.index(&mut faults);
        for (name, text) in &files {
            let Some(slug) = name.strip_prefix("scenarios/").and_then(|rest| rest.strip_suffix(".toml"))
            else {
                continue;
            };
            match source::scenario(slug, name, text, &catalog) {
                Ok(scenario) => {
                    catalog.scenarios.insert(slug.to_string(), scenario);
                }
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(catalog) } else { Err(CatalogError { faults }) }
    }

    fn index(&mut self, faults: &mut Vec<Fault>) {
        let mut rows = BTreeSet::new();
        for (index, certificate_type) in self.types.iter().enumerate() {
            let file = format!("types/{}.toml", certificate_type.slug());
            if self.by_code.insert(certificate_type.code(), index).is_some() {
                faults.push(Fault::new(&file, 0, "its code belongs to another type already"));
            }
            if !rows.insert(certificate_type.row()) {
                faults.push(Fault::new(&file, 0, "its row belongs to another type already"));
            }
            self.by_slug.insert(certificate_type.slug().to_string(), index);
        }
        for (alias, slugs) in &self.aliases {
            for slug in slugs {
                if !self.by_slug.contains_key(slug) {
                    let reason = format!("alias `{alias}` points to `{slug}`, which is no type");
                    faults.push(Fault::new("aliases.toml", 0, &reason));
                }
            }
        }
    }

    /// Every type, in the order of the slugs.
    pub fn types(&self) -> &[CertificateType] {
        &self.types
    }

    /// The type with this code.
    pub fn by_code(&self, code: TypeCode) -> Option<&CertificateType> {
        self.by_code.get(&code).map(|index| &self.types[*index])
    }

    /// The type with this slug.
    pub fn by_slug(&self, slug: &str) -> Option<&CertificateType> {
        self.by_slug.get(slug).map(|index| &self.types[*index])
    }

    /// The type that a person means by a slug, a code or its Chinese name.
    pub fn find(&self, text: &str) -> Option<&CertificateType> {
        self.by_slug(text)
            .or_else(|| text.parse().ok().and_then(|code| self.by_code(code)))
            .or_else(|| self.types.iter().find(|certificate_type| certificate_type.name().zh == text))
    }

    /// The slugs that a Chinese name used in scenarios stands for.
    pub fn resolve(&self, name: &str) -> Vec<&str> {
        if let Some(certificate_type) = self.types.iter().find(|candidate| candidate.name().zh == name) {
            return vec![certificate_type.slug()];
        }
        self.aliases.get(name).into_iter().flatten().map(String::as_str).collect()
    }

    /// Every scenario, in the order of the slugs.
    pub fn scenarios(&self) -> impl Iterator<Item = &Scenario> {
        self.scenarios.values()
    }

    /// The scenario with this slug.
    pub fn scenario(&self, slug: &str) -> Option<&Scenario> {
        self.scenarios.get(slug)
    }
}

/// One mistake in one file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    file: String,
    line: usize,
    reason: String,
}

impl Fault {
    fn new(file: &str, line: usize, reason: &str) -> Self {
        Self { file: file.to_string(), line, reason: reason.to_string() }
    }
}

/// `types/driving_licence.toml:12: reason`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.file, self.reason)
        } else {
            write!(f, "{}:{}: {}", self.file, self.line, self.reason)
        }
    }
}

/// The catalogue has mistakes; nothing of it is used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CatalogError {
    faults: Vec<Fault>,
}

impl CatalogError {
    fn of(file: &str, line: usize, reason: &str) -> Self {
        Self { faults: vec![Fault::new(file, line, reason)] }
    }

    /// Stable name for machines.
    pub fn code(&self) -> &'static str {
        "catalog/mistake"
    }

    /// What the reader can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some("mend the file; `kabao type check DIR` looks at a folder without starting anything")
    }

    /// Every mistake found: the first of each file.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CatalogError {}
