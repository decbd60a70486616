//! Services that a provider stands for, in the place of containers.

use crate::bed::observe::actions;
use crate::bed::{Bed, chmod};

/// A provider that answers with its size, and fails for one.
const PROVIDER: &str = r#"#!/bin/sh
case "$*" in
  *metadata*) exit 1 ;;
  *size=broken*) echo '{"type": "error", "message": "no such size"}'; exit 1 ;;
  *size=small*) echo '{"type": "setenv", "message": "SIZE=small"}' ;;
  *size=large*) echo '{"type": "setenv", "message": "SIZE=large"}' ;;
esac
"#;

#[test]
fn a_provider_needs_no_container_and_what_depends_on_it_follows() {
    let bed = Bed::new("provider");
    bed.guard("tools/cloud", PROVIDER);
    chmod(bed.root("tools/cloud"), 0o755);
    let write = |size: &str| {
        let provider = format!("{{type: {}, options: {{size: {size}}}}}", bed.root("tools/cloud").display());
        let services = format!(
            "  web: {{<<: *s, depends_on: [db]}}\n  db: {{provider: {provider}}}\n  other: {{<<: *s}}"
        );
        bed.compose("app", &format!("services:\n{services}"));
    };
    let deploy = || actions(&bed.sync(["--format", "json"]).exits(0).json());
    write("small");
    assert_eq!(deploy(), ["up app/db", "up app/other", "up app/web"]);
    assert_eq!(bed.env("app/web", "DB_SIZE"), "small");
    bed.call(["status", "--exit-code"]).run().exits(0).prints("has a provider").never_prints("missing");
    bed.sync(["--exit-code", "--dry-run"]).exits(0);
    write("large");
    assert_eq!(deploy(), ["up app/db", "up app/web"]);
    assert_eq!(bed.env("app/web", "DB_SIZE"), "large");
    let before = bed.containers();
    write("broken");
    bed.sync([]).exits(5).prints("rolled back");
    assert_eq!(bed.env("app/web", "DB_SIZE"), "large");
    assert_eq!(bed.containers()["app/other"], before["app/other"]);
}
