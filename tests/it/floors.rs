//! The floors of the house: which module may know which, and what each must not know at all.
//!
//! Cargo does not check this inside one package, so this test does. It reads the source as
//! text: a rule that needs more than that belongs elsewhere.

use std::collections::BTreeSet;
use std::path::Path;

use crate::source::{Source, sources};

/// Bottom to top. A module may use what its line lists, and nothing else; `log::tile` means
/// that one file and not the rest of its floor.
const MAY_USE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("catalog", &["domain"]),
    ("keys", &["domain"]),
    ("store", &["domain"]),
    ("pki", &["domain", "keys"]),
    ("log", &["domain", "keys"]),
    // The list carries the head of the log that folds to it.
    ("status", &["domain", "keys", "pki", "log"]),
    ("credential", &["domain", "catalog", "keys", "pki"]),
    ("vault", &["domain", "catalog", "keys", "store", "pki", "log", "credential", "status"]),
    // Of the floors between, only what stands in the vault's own signatures, and the picture of a code.
    ("http", &["domain", "catalog", "vault", "credential::qr", "keys::PublicKey", "log::tile"]),
    ("cli", &["domain", "catalog", "keys", "store", "pki", "log", "status", "credential", "vault", "http"]),
];

/// Words that only some files may use: the word, who may, why.
const RESERVED: &[(&str, &[&str], &str)] = &[
    ("SystemTime::now", &["vault/clock.rs"], "time comes in through the door"),
    ("std::fs", &["catalog/", "cli/", "keys/soft/", "store/"], "no disk on this floor"),
    ("std::net", &["cli/", "http/"], "no network on this floor"),
    ("tokio", &["cli/", "http/"], "only http is asynchronous, and the command line as its client"),
    ("async fn", &["cli/", "http/"], "only http is asynchronous, and the command line as its client"),
    // A bare route is what the bench holds the service against.
    ("axum", &["cli/bench/", "http/"], "only http knows HTTP"),
    ("reqwest", &["cli/"], "nothing that serves calls anybody"),
    (
        "rocksdb::",
        &["cli/bench/limits.rs", "store/rocks.rs", "store/rocks/"],
        "one driver knows RocksDB; the bench measures the bare limit",
    ),
    ("std::env", &["cli/", "main.rs"], "only the command line reads the environment"),
    ("std::process", &["cli/", "main.rs"], "only the command line is the process"),
    ("SystemRandom", &["cli/", "keys/"], "chance comes in through the door"),
];

/// Files that know our outer shapes. Serde derives on our own types live nowhere else.
const SERDE: &[(&str, &str)] = &[
    ("catalog/source.rs", "the files of schemas/"),
    ("cli/config.rs", "config.toml"),
    ("http/body.rs", "bodies in general"),
    ("http/wire.rs", "the wire"),
    ("http/wire/", "the wire"),
    ("vault/records.rs", "a sealed record"),
    ("vault/registry.rs", "a kept registration"),
    ("vault/showing.rs", "a sealed showing"),
    ("vault/verify_answer.rs", "a sealed answer"),
    ("vault/wallet.rs", "a sealed access record"),
];

#[test]
fn modules_use_only_the_floors_below() {
    let mut faults = Vec::new();
    for source in sources("src") {
        let module = source.module();
        if module == "lib" || module == "main" {
            continue;
        }
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            faults.push(format!("src/{module} has no line in MAY_USE; say where it stands"));
            continue;
        };
        for (used, place) in uses(&source) {
            let fits = |allowed: &str| {
                used == allowed || used.strip_prefix(allowed).is_some_and(|rest| rest.starts_with("::"))
            };
            let own = used.split("::").next() == Some(module.as_str());
            if !own && !allowed.iter().any(|allowed| fits(allowed)) {
                faults.push(format!("{place}: `{module}` must not use `{used}`"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_table_itself_only_points_down() {
    let floor = |name: &str| MAY_USE.iter().position(|(module, _)| *module == name);
    for (index, (module, allowed)) in MAY_USE.iter().enumerate() {
        for used in *allowed {
            let name = used.split("::").next().unwrap_or_default();
            assert!(floor(name).is_some_and(|floor| floor < index), "{module} -> {used}");
        }
    }
}

#[test]
fn every_floor_of_the_table_exists() {
    let modules: BTreeSet<String> = sources("src").iter().map(Source::module).collect();
    for (module, _) in MAY_USE {
        assert!(modules.contains(*module), "src/{module} is gone; its line should go too");
    }
}

#[test]
fn imports_name_one_module_each_and_never_climb_twice() {
    let mut faults = Vec::new();
    for source in sources("src").into_iter().chain(sources("tests")) {
        for (number, line) in source.code() {
            for hidden in [concat!("crate::", "{"), concat!("super::", "super")] {
                if line.contains(hidden) {
                    faults.push(format!("{}:{number}: `{hidden}` hides what is used", source.name));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn what_is_reserved_is_used_only_where_it_may_be() {
    let mut faults = Vec::new();
    for source in sources("src") {
        let inside = source.name.strip_prefix("src/").unwrap_or_default();
        for (number, line) in source.code_before_tests() {
            for (word, allowed, reason) in RESERVED {
                if line.contains(word) && !allowed.iter().any(|place| inside.starts_with(place)) {
                    faults.push(format!("{}:{number}: `{word}`: {reason}", source.name));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn only_the_outer_shapes_derive_serde() {
    let mut faults = Vec::new();
    for source in sources("src") {
        let inside = source.name.strip_prefix("src/").unwrap_or_default();
        if SERDE.iter().any(|(place, _)| inside.starts_with(place)) {
            continue;
        }
        for (number, line) in source.code() {
            if line.contains("derive(") && (line.contains("Serialize") || line.contains("Deserialize")) {
                faults.push(format!("{}:{number}: a serde derive outside the outer shapes", source.name));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn there_is_no_room_for_what_belongs_nowhere() {
    const NOWHERE: [&str; 7] = ["common", "error", "errors", "helpers", "misc", "types", "util"];
    for source in sources("src") {
        // The command `kabao type` has a file of its own.
        if source.name == "src/cli/types.rs" {
            continue;
        }
        let parts = Path::new(&source.name).iter().map(|part| part.to_string_lossy().into_owned());
        for part in parts {
            let name = part.trim_end_matches(".rs");
            let of_a_module = source.name.matches('/').count() > 1 && name == "error";
            assert!(!NOWHERE.contains(&name) || of_a_module, "{}: say what it is about", source.name);
        }
    }
}

#[test]
fn the_reader_of_uses_sees_what_it_should() {
    let source = Source {
        name: "src/http/x.rs".into(),
        text: "use crate::log::tile::TilePath; // crate::store\nfn f() -> crate::keys::PublicKey {}\n".into(),
    };
    let used: Vec<String> = uses(&source).into_iter().map(|(used, _)| used).collect();
    assert_eq!(used, ["keys::PublicKey", "log::tile::TilePath"]);
}

/// What a file takes from the crate root, as paths, with their places.
fn uses(source: &Source) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (number, line) in source.code() {
        for rest in line.split("crate::").skip(1) {
            let path: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect();
            let used = path.trim_end_matches(':').to_string();
            // `use crate::{a, b}` would hide from this test, so it is not allowed.
            let used = if used.is_empty() { "{..}".to_string() } else { used };
            found.insert((used, format!("{}:{number}", source.name)));
        }
    }
    found
}
