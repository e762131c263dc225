//! See `inputs::strict_json`.
#![no_main]

use kabao_fuzz::inputs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inputs::strict_json(bytes));
