//! How the repository is kept: sizes, headers, names, the crates it stands on.
//!
//! The checks on Cargo.lock need no network. `deny.toml` says the same and more to
//! `cargo deny`, for who has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::source::{Source, files, sources, top};

#[test]
fn every_rust_file_says_what_it_is() {
    for source in all_sources() {
        assert!(source.text.starts_with("//! "), "{} opens without a header", source.name);
    }
}

#[test]
fn files_and_functions_stay_readable() {
    let mut faults = Vec::new();
    for source in sources("src") {
        let lines = source.text.lines().count();
        let header: String = source.text.lines().take_while(|line| line.starts_with("//!")).collect();
        if lines > FILE_LINES_MAX && !header.contains("600 lines") {
            faults
                .push(format!("{}: {lines} lines; say in the header why it has over 600 lines", source.name));
        }
    }
    for source in all_sources() {
        for (name, lines) in functions(&source) {
            if lines >= FUNCTION_LINES_MAX && !LONG_FUNCTIONS.iter().any(|(known, _)| *known == name) {
                faults.push(format!("{}: `{name}` has {lines} lines", source.name));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_measure_of_functions_measures() {
    let text = "impl A {\n    pub fn b(\n        c: u8,\n    ) {\n        c;\n    }\n\n    fn d(&self) -> u8;\n}\nfn e() {}\n";
    let source = Source { name: String::new(), text: text.into() };
    assert_eq!(functions(&source), [("b".to_string(), 5), ("d".to_string(), 1), ("e".to_string(), 1)]);
}

#[test]
fn text_is_clean() {
    let mut faults = Vec::new();
    for file in all_files() {
        let mut fault = |line: usize, what: &str| faults.push(format!("{}:{line}: {what}", file.name));
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            fault(file.text.lines().count(), "no line end at the end");
        }
        for (index, line) in file.text.lines().enumerate() {
            if line.ends_with([' ', '\t', '\r']) {
                fault(index + 1, "white space at the end of the line");
            }
            if file.name.ends_with(".rs") && line.contains('\t') {
                fault(index + 1, "a tab");
            }
            let note = ["TODO", "FIXME", "XXX"].into_iter().any(|word| is_noted(line, word));
            if note && !line.contains('#') && file.name != OWN_NAME {
                fault(index + 1, "a note without the number of its issue");
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Whatever names one machine or one mirror breaks on every other.
#[test]
fn nothing_names_a_machine_or_a_registry() {
    let mut faults = Vec::new();
    for file in all_files().into_iter().filter(|file| file.name != OWN_NAME) {
        for (index, line) in file.text.lines().enumerate() {
            for word in MACHINES {
                // The one way in which Cargo.lock and deny.toml name where crates come from.
                if line.replace(CRATES, "").contains(word) {
                    faults.push(format!("{}:{}: `{word}`", file.name, index + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_top_level_holds_what_it_should() {
    let names = fs::read_dir(top())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !LEFT_BY_TOOLS.contains(&name.as_str()));
    for name in names {
        assert!(TOP.contains(&name.as_str()), "`{name}` at the top level: it has a place further down");
    }
}

#[test]
fn crates_come_from_the_one_registry_and_with_checksums() {
    for package in lock() {
        if package.name == "kabao" {
            continue;
        }
        assert_eq!(package.source.as_deref(), Some(CRATES), "{} {}", package.name, package.version);
        assert!(package.checksum.is_some_and(|sum| sum.len() == 64), "{} has no checksum", package.name);
    }
}

#[test]
fn no_banned_crate_came_in_by_the_back_door() {
    for package in lock() {
        if let Some((_, reason)) = BANNED.iter().find(|(name, _)| *name == package.name) {
            panic!("{} {} is in Cargo.lock: {reason}", package.name, package.version);
        }
    }
}

#[test]
fn crates_are_at_or_above_their_floors() {
    for package in lock() {
        for (name, floor, reason) in FLOORS {
            if *name == package.name {
                assert!(
                    parts(&package.version) >= parts(floor),
                    "{name} {} is below {floor}: {reason}",
                    package.version
                );
            }
        }
    }
}

/// Two versions of a primitive are two places to be wrong in.
#[test]
fn there_is_one_version_of_each_primitive() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in lock() {
        versions.entry(package.name).or_default().insert(package.version);
    }
    for name in ONE_VERSION {
        let found = versions.get(*name).cloned().unwrap_or_default();
        assert!(found.len() <= 1, "{name}: {found:?}");
    }
}

#[test]
fn deny_toml_bans_the_same_crates() {
    let text = fs::read_to_string(top().join("deny.toml")).unwrap();
    let deny: toml::Table = toml::from_str(&text).unwrap();
    let listed: BTreeSet<String> = deny["bans"]["deny"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ban| ban["crate"].as_str().unwrap().to_string())
        .collect();
    let ours: BTreeSet<String> = BANNED.iter().map(|(name, _)| (*name).to_string()).collect();
    assert_eq!(listed, ours);
}

/// Every crate that was fetched may be used under a licence that deny.toml allows.
///
/// Reads what Cargo unpacked: starting another process here would hold, for a moment, the
/// locks of files that other tests are just giving back.
#[test]
fn every_crate_has_a_licence_we_may_use() {
    let text = fs::read_to_string(top().join("deny.toml")).unwrap();
    let deny: toml::Table = toml::from_str(&text).unwrap();
    let list = deny["licenses"]["allow"].as_array().unwrap();
    let allowed: BTreeSet<&str> = list.iter().filter_map(toml::Value::as_str).collect();
    let home = std::env::var_os("CARGO_HOME").map_or_else(
        || std::path::PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cargo"),
        std::path::PathBuf::from,
    );
    let registries: Vec<_> =
        fs::read_dir(home.join("registry/src")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut faults = Vec::new();
    let mut read = 0;
    for package in lock() {
        let folder = format!("{}-{}", package.name, package.version);
        let manifest = registries
            .iter()
            .find_map(|registry| fs::read_to_string(registry.join(&folder).join("Cargo.toml")).ok());
        // Crates for other systems are in Cargo.lock, but were not fetched.
        let Some(manifest) = manifest else { continue };
        read += 1;
        let manifest: toml::Table = toml::from_str(&manifest).unwrap();
        let licence = manifest["package"].get("license").and_then(toml::Value::as_str);
        let licence = licence.unwrap_or("none named");
        if !may_be_used(licence, &allowed) {
            faults.push(format!("{folder}: {licence}"));
        }
    }
    assert!(read > 200, "only {read} crates were found unpacked");
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = BTreeSet::from(["Apache-2.0", "ISC", "MIT"]);
    for (licence, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT/GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("GPL-3.0 OR (MIT AND ISC)", true),
        ("(MIT OR GPL-3.0) AND GPL-2.0", false),
        ("(MIT OR GPL-3.0) AND ISC", true),
        ("Apache-2.0 WITH LLVM-exception", false),
    ] {
        assert_eq!(may_be_used(licence, &allowed), expected, "{licence}");
    }
}

/// SPDX: `OR` binds weakest, then `AND`; `/` is an old `OR`.
fn may_be_used(licence: &str, allowed: &BTreeSet<&str>) -> bool {
    let licence = licence.replace('/', " OR ");
    let split = |text: &str, word: &str| -> Vec<String> {
        let (mut depth, mut parts, mut part) = (0, vec![], vec![]);
        for token in text.replace('(', " ( ").replace(')', " ) ").split_whitespace() {
            match token {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            if depth == 0 && token == word {
                parts.push(part.join(" "));
                part = vec![];
            } else {
                part.push(token.to_string());
            }
        }
        parts.push(part.join(" "));
        parts
    };
    split(&licence, "OR").iter().any(|choice| {
        split(choice, "AND").iter().all(|one| match one.strip_prefix("( ") {
            Some(inner) => may_be_used(inner.trim_end_matches(" )"), allowed),
            None => allowed.contains(one.as_str()),
        })
    })
}

struct Package {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

fn lock() -> Vec<Package> {
    let text = fs::read_to_string(top().join("Cargo.lock")).unwrap();
    let lock: toml::Table = toml::from_str(&text).unwrap();
    let member = |package: &toml::Value, name: &str| {
        package.get(name).and_then(toml::Value::as_str).map(str::to_string)
    };
    lock["package"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| Package {
            name: member(package, "name").unwrap(),
            version: member(package, "version").unwrap(),
            source: member(package, "source"),
            checksum: member(package, "checksum"),
        })
        .collect()
}

fn parts(version: &str) -> Vec<u64> {
    let plain = version.split(['-', '+']).next().unwrap_or_default();
    plain.split('.').map(|part| part.parse().unwrap()).collect()
}

fn is_noted(line: &str, word: &str) -> bool {
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    line.match_indices(word).any(|(place, _)| {
        let before = line[..place].chars().next_back();
        let after = line[place + word.len()..].chars().next();
        !letter(before) && !letter(after)
    })
}

/// Names and lengths of the functions, as rustfmt lays them out.
fn functions(source: &Source) -> Vec<(String, usize)> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let Some(name) = function_name(trimmed) else { continue };
        let indent = &line[..line.len() - trimmed.len()];
        let ends = |line: &str| {
            line.strip_prefix(indent).is_some_and(|rest| rest.starts_with('}') || rest.ends_with(';'))
                && !line[indent.len()..].starts_with(' ')
        };
        let one_line = trimmed.ends_with('}') || trimmed.ends_with(';');
        let last = if one_line { Some(0) } else { lines[start..].iter().position(|line| ends(line)) };
        found.push((name.to_string(), last.unwrap_or_default() + 1));
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut words = line.split(' ').take_while(|word| !word.contains('(') || word.starts_with("pub("));
    let modifiers = ["async", "const", "pub", "pub(crate)", "pub(super)", "unsafe"];
    words.all(|word| modifiers.contains(&word) || word == "fn").then_some(())?;
    let (before, rest) = line.split_once("fn ")?;
    (before.is_empty() || before.ends_with(' ')).then_some(())?;
    // A function in a macro has its length where it is used.
    rest.split(['(', '<']).next().filter(|name| !name.starts_with('$'))
}

fn all_sources() -> Vec<Source> {
    ["src", "tests", "benches", "fuzz"].into_iter().flat_map(sources).collect()
}

fn all_files() -> Vec<Source> {
    let mut all: Vec<Source> = FOLDERS.into_iter().flat_map(files).collect();
    for name in TOP {
        if let Ok(text) = fs::read_to_string(top().join(name)) {
            all.push(Source { name: name.to_string(), text });
        }
    }
    all.retain(|file| !THEIRS.iter().any(|place| file.name.starts_with(place)));
    all
}

/// Other people's words, and bytes for parsers.
const THEIRS: [&str; 4] = [".ci/judge/package-lock.json", "LICENSE", "fuzz/seeds/", "tests/vectors/"];

/// Lines of a file, unless its header says why it has more.
const FILE_LINES_MAX: usize = 600;

/// A function ends before.
const FUNCTION_LINES_MAX: usize = 70;

/// Functions that may be longer, and why.
const LONG_FUNCTIONS: &[(&str, &str)] = &[
    ("check_text", "one arm for each kind of text, each of two lines"),
    ("everything_rfc_9901_7_1_rejects_is_refused", "a table"),
];

/// Everything that may lie at the top.
const TOP: &[&str] = &[
    ".ci",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "benches",
    "clippy.toml",
    "deny.toml",
    "fuzz",
    "keys",
    "rustfmt.toml",
    "schemas",
    "src",
    "tests",
];

const FOLDERS: [&str; 7] = [".ci", "benches", "fuzz", "keys", "schemas", "src", "tests"];

/// What .gitignore names, and the history.
const LEFT_BY_TOOLS: [&str; 3] = [".git", "data", "target"];

/// This file names what it forbids.
const OWN_NAME: &str = "tests/it/tidy.rs";

/// Where crates come from, as Cargo writes it.
const CRATES: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Paths of somebody's machine, hosts of registries.
const MACHINES: [&str; 12] = [
    "/home/",
    "/root/",
    "/Users/",
    "/work/",
    "crates.io",
    "deb.debian.org",
    "files.pythonhosted.org",
    "npmjs.org",
    "npmmirror.com",
    "pypi.org",
    "rsproxy.cn",
    "tuna.tsinghua",
];

/// Crates that must not come in, not even through others.
const BANNED: &[(&str, &str)] = &[
    ("aws-lc-rs", "one TLS provider: ring"),
    ("aws-lc-sys", "one TLS provider: ring"),
    ("bincode", "unmaintained, and not deterministic across versions"),
    ("chrono", "one crate for civil time: jiff"),
    ("jsonwebtoken", "tokens are written here, one algorithm for each key"),
    ("native-tls", "one TLS: rustls"),
    ("openssl", "one TLS: rustls"),
    ("openssl-sys", "one TLS: rustls"),
    ("rsa", "RUSTSEC-2023-0071, without a patch"),
    ("rustybuzz", "RUSTSEC-2026-0206, unmaintained"),
    ("serde_cbor", "RUSTSEC-2019-0025, unmaintained"),
    ("serde_yaml", "unmaintained"),
    ("sharks", "RUSTSEC-2024-0398, without a patch"),
];

/// Crates with a fault below a version.
const FLOORS: &[(&str, &str, &str)] = &[
    ("curve25519-dalek", "4.1.3", "RUSTSEC-2024-0344: a branch on secrets"),
    ("ed25519-dalek", "2.0.0", "RUSTSEC-2022-0093: the double public key oracle"),
    ("h2", "0.4.16", "RUSTSEC-2026-0258: unbounded empty frames"),
    ("hyper", "0.14.10", "RUSTSEC-2021-0078: lenient lengths"),
    ("lopdf", "0.47.0", "RUSTSEC-2026-0187: stack overflow"),
    ("quick-xml", "0.42.0", "RUSTSEC-2026-0194, 0195: quadratic work"),
    ("rocksdb", "0.25.0", "older ones read out of bounds"),
    ("rustls-webpki", "0.103.13", "RUSTSEC-2026-0098, 0099, 0104"),
    ("time", "0.3.47", "RUSTSEC-2026-0009: stack overflow"),
    ("tracing-subscriber", "0.3.20", "RUSTSEC-2025-0055: escapes into logs"),
];

/// Of these there is one version.
const ONE_VERSION: &[&str] = &[
    "base64",
    "ciborium",
    "coset",
    "ed25519-dalek",
    "rcgen",
    "ring",
    "rustls",
    "rustls-webpki",
    "subtle",
    "x509-parser",
    "zeroize",
];
