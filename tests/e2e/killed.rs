//! Killed clients and tools: the next sync finishes the work.

use std::process::Stdio;
use std::time::Duration;

use crate::bed::Bed;

#[test]
fn the_next_sync_recovers_from_a_client_killed_at_any_time() {
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
    bed.call(["sync"]).run().exits(0).prints("nothing to do");
}

/// Kills the next `docker compose up` with SIGKILL once its new container exists.
fn kill_next_up(bed: &Bed) {
    let flag = bed.path("killed");
    let _ = std::fs::remove_file(&flag);
    let script = format!(
        r#"case " $* " in *' up '*) [ -e {flag} ] || {{
  : >{flag}
  "$real" "$@" & pid=$!
  until [ -n "$("$real" ps -aq --filter 'name=_{id}-')" ]; do sleep 0.02; done
  kill -9 $pid
  exit 137
}} ;; esac"#,
        flag = flag.display(),
        id = bed.id,
    );
    bed.before_docker(&script);
}

#[test]
fn a_killed_recreate_leaves_no_service_down_and_no_stray_container() {
    let bed = Bed::new("midrecreate");
    let compose = |mode: &str| {
        bed.compose("app", &format!("services:\n  web: {{<<: *s, environment: {{MODE: {mode}}}, volumes: [/rows], stop_grace_period: 1s, stop_signal: SIGTERM}}"));
    };
    compose("one");
    bed.sync([]).exits(0);
    bed.inside("app/web", &["sh", "-c", "echo precious >/rows/1"]);
    kill_next_up(&bed);
    compose("two");
    bed.sync([]).exits(5).ends_with("rolled back to release 1");
    let names = |bed: &Bed| bed.containers().into_iter().map(|(name, c)| (name, c.state)).collect::<Vec<_>>();
    let running = [("app/web".to_owned(), "running".to_owned())];
    assert_eq!(names(&bed), running);
    assert_eq!(bed.env("app/web", "MODE"), "one");
    assert_eq!(bed.inside("app/web", &["cat", "/rows/1"]).trim(), "precious");
    bed.call(["sync"]).run().exits(0);
    assert_eq!((names(&bed), bed.env("app/web", "MODE")), (running.to_vec(), "two".to_owned()));
    assert_eq!(bed.inside("app/web", &["cat", "/rows/1"]).trim(), "precious");
}
