//! Long manifests, which are compared on the host.

use ghdeploy::base::manifest::Manifest;
use ghdeploy::host::{Command, DriverEvent};

use crate::bed::{Tree, file, manifest, program, under_every_shell};

fn many() -> Tree {
    (0..300).map(|n| (format!("blog/{n:03}.txt"), file(&format!("content {n}")))).collect()
}

/// The lines of an answer about the recorded manifest.
async fn lines(driver: &ghdeploy::host::Driver, checks: &str) -> Vec<String> {
    let command = Command::Manifest { unit: "blog".to_owned(), checks: checks.to_owned() };
    let reply = driver.call(&command).await.unwrap();
    assert!(reply.is_ok(), "{reply:?}");
    let entries = reply.events.into_iter().filter_map(|event| match event {
        DriverEvent::Entry { text } => Some(text),
        _ => None,
    });
    entries.collect()
}

/// The check of each line, as src/host/comparison.rs makes it.
fn checks(manifest: &Manifest) -> String {
    let text = manifest.to_text();
    text.lines()
        .map(|line| format!("{}{}\n", &line.split(' ').nth(3).unwrap()[..5], line.len() % 10))
        .collect()
}

under_every_shell! {
    async fn what_is_recorded_is_known_whatever_is_wanted(bed: Bed) {
        let recorded = many();
        bed.sync("blog", &recorded).await;
        let driver = bed.opened_to_read().await;
        let change = |change: &dyn Fn(&mut Tree)| {
            let mut tree = many();
            change(&mut tree);
            tree
        };
        let wanted = [
            change(&|tree| drop(tree.insert("blog/007.txt".to_owned(), file("another")))),
            change(&|tree| drop(tree.insert("blog/007.txt".to_owned(), program("content 7")))),
            change(&|tree| drop((tree.remove("blog/000.txt"), tree.remove("blog/299.txt")))),
            change(&|tree| drop(tree.insert("blog/007 é\n\\.txt".to_owned(), file("new")))),
            change(&|tree| drop((tree.insert("blog/a".to_owned(), file("x")), tree.insert("blog/0".to_owned(), file("y"))))),
            // The check of these lines stays the same.
            change(&|tree| {
                let moved = tree.remove("blog/008.txt").unwrap();
                tree.insert("blog/00x.txt".to_owned(), moved);
            }),
            change(&|tree| tree.values_mut().for_each(|node| *node = file("all the same"))),
            (300..600).map(|n| (format!("blog/{n}.txt"), file(&n.to_string()))).collect(),
        ];
        for tree in wanted {
            let deployed = bed.facts(&driver, "blog", &tree).await;
            assert_eq!(deployed.manifests["blog"], manifest(&recorded));
            assert!(!deployed.damaged.iter().any(|damage| damage.file == "manifest/blog"), "{:?}", deployed.damaged);
            assert!(deployed.pending.is_empty());
        }
        driver.end().await;
    }

    async fn only_lines_that_differ_are_reported(bed: Bed) {
        bed.sync("blog", &many()).await;
        let driver = bed.opened_to_read().await;
        let mut wanted = many();
        wanted.insert("blog/007.txt".to_owned(), file("another"));
        wanted.remove("blog/100.txt");
        wanted.insert("blog/zzz".to_owned(), file("new"));
        let recorded = manifest(&many()).to_text();
        let line = |number: usize| format!("+{}", recorded.lines().nth(number).unwrap());
        let said = lines(&driver, &checks(&manifest(&wanted))).await;
        assert_eq!(said, ["=7", &line(7), "-1", "=92", &line(100), "=199", "-1"]);
        assert_eq!(lines(&driver, "").await.len(), 301);
        driver.end().await;
    }

    async fn a_long_manifest_that_is_damaged_is_known_to_be(bed: Bed) {
        bed.sync("blog", &many()).await;
        let record = bed.state("manifest/blog");
        let text = std::fs::read_to_string(&record).unwrap();
        let driver = bed.opened_to_read().await;
        for damage in [text.replacen("f 644", "f \u{1}44", 1), text[..text.len() - 30].to_owned(), String::new()] {
            std::fs::write(&record, damage).unwrap();
            let deployed = bed.facts(&driver, "blog", &many()).await;
            assert_eq!(deployed.damaged.len(), 1, "{:?}", deployed.damaged);
            assert!(!deployed.manifests.contains_key("blog"));
        }
        driver.end().await;
    }
}
