//! See `inputs::status_token`.
#![no_main]

use kabao_fuzz::inputs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inputs::status_token(bytes));
