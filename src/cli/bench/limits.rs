//! What the parts reach alone: the limits that the vault's figures stand beside.

#[cfg(feature = "rocks")]
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use super::{cores, repeat};
use crate::cli::report::Failure;
use crate::keys::Signer;
use crate::keys::random::{self, SystemRandom};
use crate::keys::soft::SoftSigner;

/// Signs and verifies a message of a credential's size on every core: pairs in a second.
pub(super) fn sign_and_verify(span: Duration) -> Result<f64, Failure> {
    let seed: [u8; 32] = random::bytes(&SystemRandom::new())?;
    let pair = || {
        let signer = SoftSigner::ed25519(&seed);
        let message = vec![7; CREDENTIAL_BYTES];
        repeat(span, || {
            let signature = signer.sign(&message).map_err(Failure::unknown)?;
            match signer.public_key().verify(&message, &signature) {
                true => Ok(()),
                false => Err(Failure::unknown("a signature does not verify")),
            }
        })
    };
    let rates = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores()).map(|_| scope.spawn(pair)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| Failure::unknown("a thread came to grief"))?)
            .collect()
    });
    let rates: Result<Vec<f64>, Failure> = rates;
    Ok(rates?.iter().sum())
}

/// Raw synced batches of RocksDB, each of as many acts as the vault's writer finds waiting: acts in a second.
#[cfg(feature = "rocks")]
pub(super) fn synced_batches(dir: &Path, span: Duration) -> Result<f64, Failure> {
    let acts = u32::try_from(super::work::AT_ONCE).unwrap_or(1);
    Ok(raw_batches(dir, acts, ACT_BYTES, span)? * f64::from(acts))
}

/// One synced batch of one act, then one synced write of 512 bytes to a file: pairs in a second.
#[cfg(feature = "rocks")]
pub(super) fn batch_and_lock(dir: &Path, span: Duration) -> Result<f64, Failure> {
    let batch = 1.0 / raw_batches(dir, 1, ISSUE_BYTES, span)?;
    let path = dir.join("bench.lock");
    let file = std::fs::File::create(&path).map_err(|error| Failure::file(&path, &error))?;
    let failed = |error: std::io::Error| Failure::unknown(format!("cannot write: {error}"));
    file.set_len(8192).and_then(|()| file.sync_all()).map_err(failed)?;
    let lock = 1.0
        / repeat(span, || file.write_all_at(&[1; 512], 0).and_then(|()| file.sync_data()).map_err(failed))?;
    Ok(1.0 / (batch + lock))
}

#[cfg(feature = "rocks")]
fn raw_batches(dir: &Path, acts: u32, bytes: usize, span: Duration) -> Result<f64, Failure> {
    let path = dir.join(format!("bench-raw-{acts}"));
    let failed = |error: rocksdb::Error| Failure::unknown(format!("the raw database fails: {error}"));
    let database = rocksdb::DB::open_default(&path).map_err(failed)?;
    let mut synced = rocksdb::WriteOptions::default();
    synced.set_sync(true);
    let value = vec![9; bytes / ROWS];
    let mut number: u64 = 0;
    let rate = repeat(span, || {
        let mut batch = rocksdb::WriteBatch::default();
        for _ in 0..acts {
            for row in 0..ROWS {
                number += 1;
                let key = [&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[..], &row.to_be_bytes()]
                    .concat();
                batch.put(key, &value);
            }
        }
        database.write_opt(batch, &synced).map_err(failed)
    })?;
    drop(database);
    // Left behind it only takes room.
    let _ = std::fs::remove_dir_all(&path);
    Ok(rate)
}

/// This build has no database.
#[cfg(not(feature = "rocks"))]
pub(super) fn synced_batches(_: &Path, _: Duration) -> Result<f64, Failure> {
    Err(Failure::refused("this build of kabao has no database"))
}

/// This build has no database.
#[cfg(not(feature = "rocks"))]
pub(super) fn batch_and_lock(_: &Path, _: Duration) -> Result<f64, Failure> {
    Err(Failure::refused("this build of kabao has no database"))
}

/// Bytes that a department's key signs for one credential.
const CREDENTIAL_BYTES: usize = 2048;

/// Bytes of one revocation in the vault's batch: record, bits, entry, index.
#[cfg(feature = "rocks")]
const ACT_BYTES: usize = 3072;

/// Bytes of one issue in the vault's batch.
#[cfg(feature = "rocks")]
const ISSUE_BYTES: usize = 8192;

/// Rows of one act.
#[cfg(feature = "rocks")]
const ROWS: usize = 6;
