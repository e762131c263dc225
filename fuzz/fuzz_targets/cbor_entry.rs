//! See `inputs::cbor_entry`.
#![no_main]

use kabao_fuzz::inputs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inputs::cbor_entry(bytes));
