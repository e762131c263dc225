//! kabao (卡包): an electronic certificate (电子证照) and e-seal (电子印章) vault.
//!
//! # The floors
//!
//! A module may use the floors below it, as the table in `tests/it/floors.rs`
//! allows, and never a module of its own floor.
//!
//! ```text
//! 6  cli                              commands, configuration, the process
//! 5  http                             routes, callers, problems, pages
//! 4  vault                            what the service does: issue, hold, present, verify, publish
//! 3  credential    status             the artefacts people receive
//! 2  pki     log                      chains of trust; the public record
//! 1  catalog    keys    store         kinds of certificate; signing; keeping
//! 0  domain                           the words of the trade
//! ```

pub mod catalog;
pub mod cli;
pub mod credential;
pub mod domain;
pub mod http;
pub mod keys;
pub mod log;
pub mod pki;
pub mod status;
pub mod store;
pub mod vault;
