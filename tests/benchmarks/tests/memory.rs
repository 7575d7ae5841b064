//! The short form of `make bench-memory`: half a minute at full rate stays within the budget. Whether memory
//! is flat only the long one can tell: at first, caches fill.

use std::process::Command;

#[test]
fn memory_at_full_rate_stays_within_what_the_settings_allow() {
    let output = Command::new(env!("CARGO_BIN_EXE_memory"))
        .args(["--duration-s", "30", "--tolerance-mib", "60"])
        .output()
        .unwrap();
    let (printed, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}\n{errors}");
}
