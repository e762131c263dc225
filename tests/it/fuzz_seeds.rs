//! The seeds of the fuzz targets, replayed: as they are, cut short, and with bits changed.
//!
//! A small taste of `make fuzz` in every run of the tests; what fuzzing finds is kept as a seed.

use std::collections::BTreeSet;
use std::fs;

use crate::fuzz_inputs::{ALL, Target};
use crate::source::top;

#[test]
fn no_seed_and_no_small_change_of_one_does_harm() {
    for (name, target) in ALL {
        let folder = top().join("fuzz/seeds").join(name);
        let seeds: Vec<Vec<u8>> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| fs::read(entry.unwrap().path()).unwrap())
            .collect();
        assert!(!seeds.is_empty(), "{name} has no seed");
        for seed in seeds {
            // Pictures and whole services are slow: fewer changes.
            let steps = if ["http_body", "qr_image"].contains(name) { 8 } else { 64 };
            replay(*target, &seed, steps);
        }
    }
}

fn replay(target: Target, seed: &[u8], steps: usize) {
    target(seed);
    for step in 0..steps {
        let place = seed.len() * step / steps;
        target(&seed[..place]);
        if let Some(byte) = seed.get(place) {
            for change in [0x01, 0x80] {
                let mut changed = seed.to_vec();
                changed[place] = byte ^ change;
                target(&changed);
            }
        }
    }
}

#[test]
fn every_target_is_built_and_replayed() {
    let files: BTreeSet<String> = fs::read_dir(top().join("fuzz/fuzz_targets"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let listed: BTreeSet<String> = ALL.iter().map(|(name, _)| (*name).to_string()).collect();
    assert_eq!(files, listed);
    let manifest: toml::Table =
        toml::from_str(&fs::read_to_string(top().join("fuzz/Cargo.toml")).unwrap()).unwrap();
    let built: BTreeSet<String> = manifest["bin"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bin| bin["name"].as_str().unwrap().to_string())
        .collect();
    assert_eq!(built, listed);
}
