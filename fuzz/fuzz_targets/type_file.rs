//! See `inputs::type_file`.
#![no_main]

use kabao_fuzz::inputs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| inputs::type_file(bytes));
