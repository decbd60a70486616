//! Clients that are killed in the middle: the next sync finishes the work.

use std::process::Stdio;
use std::time::Duration;

use crate::bed::Bed;

#[test]
fn a_killed_client_at_any_time_leaves_nothing_that_the_next_sync_does_not_mend() {
    let bed = Bed::new("killed");
    let change = |n: usize| {
        bed.compose("app", &format!("services:\n  web: {{<<: *s, volumes: ['./web.conf:/web.conf:ro']}}\n  worker: {{<<: *s, environment: {{N: '{n}'}}}}"));
        bed.write("services/app/web.conf", format!("{n}"));
        for file in 0..50 {
            bed.write(&format!("services/app/many/{file}"), format!("{n} {file}"));
        }
        bed.commit();
    };
    change(0);
    bed.call(["sync"]).run().exits(0);
    for (n, millis) in [250, 500, 750, 1000, 1400, 2000].into_iter().enumerate() {
        change(n + 1);
        bed.guarding(|| {
            let mut sync =
                bed.call(["sync"]).command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(millis));
            sync.kill().unwrap();
            sync.wait().unwrap();
        });
    }
    bed.call(["sync"]).run().exits(0);
    assert_eq!(bed.inside("app/web", &["cat", "/web.conf"]), "6");
    assert_eq!(bed.env("app/worker", "N"), "6");
    for file in 0..50 {
        assert_eq!(bed.on_host(&format!("app/many/{file}")), format!("6 {file}"));
    }
    assert!(bed.containers().values().all(|container| container.state == "running"));
    bed.call(["sync"]).run().exits(0).says("nothing to do");
}
