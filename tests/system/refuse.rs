//! Vaults that must not be served, and how the program says so.

use std::fs;
use std::path::Path;

use kabao::cli::sample;

use crate::service::{Installation, order, refused};

#[test]
fn a_second_server_on_one_vault_is_refused_and_the_first_goes_on() {
    let installation = Installation::default();
    let server = installation.start();
    let said = refused(&mut installation.serve(), 1);
    assert!(said.contains("kabao: error: the head lock is in use\n"), "{said}");
    assert!(said.contains("hint: stop the other process first"), "{said}");
    let officer = server.client(&installation.officer());
    officer.post("/v1/certificates", "k", &order(1, &sample::person(1))).good(201);
    server.stop();
    installation.start().stop();
}

#[test]
fn the_lock_of_a_second_installation_does_not_open_the_first_ones_store() {
    let installation = Installation::default();
    let server = installation.start();
    // As if the lock's file had been lost and another one found: the store keeps strangers out too.
    let other = Installation::default();
    fs::remove_file(installation.dir().join("head.lock")).unwrap();
    fs::copy(other.dir().join("head.lock"), installation.dir().join("head.lock")).unwrap();
    let said = refused(&mut installation.serve(), 3);
    assert!(said.contains("kabao: error: the store is in use\n"), "{said}");
    server.stop();
}

#[test]
fn an_older_copy_put_back_is_refused() {
    let installation = Installation::default();
    let (store, copy) = (installation.dir().join("store"), installation.dir().join("copy"));
    copy_folder(&store, &copy);

    let server = installation.start();
    let officer = server.client(&installation.officer());
    officer.post("/v1/certificates", "k", &order(1, &sample::person(1))).good(201);
    server.stop();

    let newest = installation.dir().join("newest");
    fs::rename(&store, &newest).unwrap();
    fs::rename(&copy, &store).unwrap();
    let said = refused(&mut installation.serve(), 1);
    // `head-lock/behind`, in the words for people.
    assert!(said.contains("kabao: error: the database is older than the head lock\n"), "{said}");
    assert!(said.contains("hint: restore a newer backup"), "{said}");

    fs::remove_dir_all(&store).unwrap();
    fs::rename(&newest, &store).unwrap();
    installation.start().stop();
}

#[test]
fn a_vault_without_its_head_lock_is_refused() {
    let installation = Installation::default();
    fs::remove_file(installation.dir().join("head.lock")).unwrap();
    let said = refused(&mut installation.serve(), 1);
    assert!(said.contains("kabao: error: there is no head lock here\n"), "{said}");
}

#[test]
fn keys_for_development_are_refused_outside_development() {
    let installation = Installation::default();
    edit(&installation.dir().join("config.toml"), r#"mode = "development""#, r#"mode = "production""#);
    let said = refused(&mut installation.serve(), 1);
    assert!(said.contains("is for development only\n"), "{said}");
    assert!(said.contains("hint: make keys of your own with `kabao init`"), "{said}");

    // Also when their marks are edited away.
    for entry in fs::read_dir(installation.dir().join("keys")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let bare: String = text.split_whitespace().collect();
        fs::write(&path, bare.replace(r#""development":true"#, r#""development":false"#)).unwrap();
    }
    refused(&mut installation.serve(), 1);
}

#[test]
fn a_wrong_passphrase_is_refused() {
    let installation = Installation::default();
    fs::write(installation.passphrase(), "wrong").unwrap();
    let said = refused(&mut installation.serve(), 1);
    assert!(said.contains("kabao: error: wrong passphrase\n"), "{said}");
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
