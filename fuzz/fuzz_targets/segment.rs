#![no_main]

#[path = "../../tests/entries.rs"]
#[allow(dead_code)]
mod entries;

// A panic that is caught and made an error is none to the caller; one that is not still ends the process.
libfuzzer_sys::fuzz_target!(
    init: std::panic::set_hook(Box::new(|panic| eprintln!("{panic}"))),
    |bytes: &[u8]| entries::segment(bytes)
);
