//! Fuzzes a `ghdeploy.yml`.
#![no_main]

use ghdeploy::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let read = Config::from_yaml(text, "ghdeploy.yml");
    let again = Config::from_yaml(text, "ghdeploy.yml");
    assert_eq!(format!("{read:?}"), format!("{again:?}"), "another answer the second time");
    for found in read.err().unwrap_or_default() {
        assert!(!found.message.is_empty());
        if let Some(at) = found.at {
            assert!(at.path == "ghdeploy.yml" && at.line >= 1 && at.column >= 1, "nowhere in the file: {at}");
        }
    }
});
