//! See `inputs::sd_jwt`.
#![no_main]

use kabao_fuzz::inputs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inputs::sd_jwt(bytes));
