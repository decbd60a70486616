//! Reports about paths that are not managed.

use std::fs;

use ghdeploy::host::{Command, facts};
use ghdeploy::state::deployed::Found;

use crate::bed::{entry, file, link, program, tree, under_every_shell};

under_every_shell! {
    async fn a_probe_reports_content_kind_and_executable_bit(bed: Bed) {
        let there = tree([("a/file", file("1")), ("a/run", program("2")), ("a/link", link("nowhere")), ("a/back\\slash", file("3"))]);
        bed.put(&there);
        fs::create_dir(bed.path("a/dir")).unwrap();
        std::process::Command::new("mkfifo").arg(bed.path("a/pipe")).status().unwrap();
        let driver = bed.opened_to_read().await;
        let mut paths: Vec<String> = there.keys().cloned().collect();
        paths.extend(["a/dir", "a/pipe", "a/none", "none/a"].map(str::to_owned));
        let found = facts::found(&driver.call(&Command::Probe { hash: true, units: Vec::new(), paths }).await.unwrap());
        let mut expected: Vec<(String, Found)> = there.iter().map(|(path, node)| (path.clone(), Found::Entry(ghdeploy::base::manifest::Entry { size: 0, ..entry(node) }))).collect();
        expected.extend([("a/dir".to_owned(), Found::EmptyDirectory), ("a/pipe".to_owned(), Found::Other)]);
        let mut found: Vec<(String, Found)> = found.into_iter().map(|(path, found)| (path.to_string(), found)).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found, expected);
        driver.end().await;
    }

    async fn long_answers_arrive_whole(bed: Bed) {
        // More than the argument of a program may have.
        let names: Vec<String> = (0..900).map(|n| format!("a/{n}{}", "n".repeat(200))).collect();
        bed.put(&names.iter().map(|name| (name.clone(), file("x"))).collect());
        let driver = bed.opened_to_read().await;
        let found = facts::found(&driver.call(&Command::Probe { hash: true, units: Vec::new(), paths: names.clone() }).await.unwrap());
        assert_eq!(found.len(), names.len());
        driver.end().await;
    }

    async fn types_are_reported_in_the_order_of_the_question(bed: Bed) {
        bed.put(&tree([("a/file", file("1")), ("a/new\nline", file("2"))]));
        let driver = bed.opened_to_read().await;
        let asked = ["/etc", "a/none", "a", "a/file", "/etc/passwd", "a/new\nline", "~/", "/dev/null", "a/file"].map(str::to_owned);
        let found = facts::types(&driver, &asked).await.unwrap();
        let is: Vec<char> = found.iter().map(|found| match found {
            Found::Entry(_) => 'f',
            Found::Directory | Found::EmptyDirectory => 'd',
            Found::Other => 'o',
            Found::Missing | Found::Unreadable | Found::Behind { .. } => 'm',
        }).collect();
        assert_eq!(is, ['d', 'm', 'd', 'f', 'f', 'f', 'd', 'o', 'f']);
        driver.end().await;
    }

    async fn a_folder_with_an_odd_name_is_probed_for_unmanaged_files(bed: Bed) {
        bed.put(&tree([("od\\d/a", file("theirs"))]));
        let deployed = bed.look("blog", &tree([("od\\d/a", file("ours"))])).await;
        assert_eq!(deployed.found.len(), 1);
    }
}
