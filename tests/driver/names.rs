//! Names that a shell could misread, in every command that takes a name.

use std::fs;

use ghdeploy::host::Command;

use crate::bed::{Node, Tree, entry, expect_ok, file, link, program, under_every_shell};

fn names() -> Vec<String> {
    let names = [
        "plain",
        "a b",
        " a",
        "a ",
        "two  spaces",
        "quote'",
        "double\"quote",
        "new\nline",
        "ends\n",
        "\n",
        "tab\tbed",
        "cr\r",
        "bell\u{7}",
        "$(touch x)",
        "`touch x`",
        "$HOME",
        "-rf",
        "--",
        "-",
        "back\\slash",
        "\\",
        "\\n",
        "\\0101",
        "x: OK",
        "x: FAILED",
        "x: FAILED open or read",
        "x",
        "x: OK: OK",
        "*",
        "?",
        "[a-z]",
        "a*",
        "{a,b}",
        "~",
        "#x",
        "!x",
        "a;b",
        "a&b",
        "a|b",
        "a>b",
        "(a)",
        "a=b",
        "=",
        "%s",
        "%b",
        ".hidden",
        "..dots",
        "...",
        "end",
        "p x",
        "P x",
        "f 644 1 0 x",
        "é",
        "日本",
        "🦀",
        "\u{7f}",
        "SHA256 (x) = 0",
        "candidate",
        "files",
    ];
    names.into_iter().map(str::to_owned).chain(["n".repeat(255), "é".repeat(127)]).collect()
}

/// Tree with every name as a file, as a folder, and as a link.
fn hostile(content: &str) -> Tree {
    let mut tree = Tree::new();
    for (number, name) in names().iter().enumerate() {
        let node = if number % 2 == 0 { file } else { program };
        tree.insert(format!("blog/{name}"), node(&format!("{content} {number}")));
        tree.insert(format!("blog/in/{name}/{name}"), file(content));
        tree.insert(format!("blog/links/{name}"), link(&format!("{content} {}", &name[..name.len().min(8)])));
    }
    tree
}

under_every_shell! {
    async fn any_name_is_deployed_changed_found_restored_and_removed(bed: Bed) {
        let (old, new) = (hostile("old"), hostile("new"));
        let unmanaged = crate::bed::tree([("blog/in/theirs", file("t")), ("blog/*b", file("t")), ("blog/-r", file("t")), ("x", file("t")), ("blog/in/theirs\n\\", file("t"))]);
        bed.put(&unmanaged);
        let live = |ours: &Tree| -> Tree { unmanaged.clone().into_iter().chain(ours.clone()).collect() };
        bed.sync("blog", &old).await;
        assert_eq!(bed.live(), live(&old));
        bed.expect_deployed("blog", &old).await;

        // Every third file is written in place. Then a rollback.
        let driver = bed.opened().await;
        let in_place: Vec<&str> = old.iter().filter(|(_, node)| matches!(node, Node::File { .. })).map(|(path, _)| path.as_str()).step_by(3).collect();
        let staged = bed.stage(&driver, "blog", &new, &in_place).await;
        assert_eq!(staged.changes.len(), old.len());
        expect_ok(&driver.call(&Command::Candidate("blog".to_owned())).await.unwrap());
        expect_ok(&driver.call(&Command::Swap("blog".to_owned())).await.unwrap());
        assert_eq!(bed.live(), live(&new));
        expect_ok(&driver.call(&Command::Restore("blog".to_owned())).await.unwrap());
        assert_eq!(bed.live(), live(&old));
        bed.finish(driver).await;
        bed.expect_deployed("blog", &old).await;

        // Every file drifts.
        for (path, node) in &old {
            match node {
                Node::File { .. } => fs::write(bed.path(path), "drift").unwrap(),
                _ => fs::remove_file(bed.path(path)).unwrap(),
            }
        }
        let deployed = bed.look("blog", &old).await;
        assert_eq!(deployed.found.len(), old.len());
        for (path, node) in &old {
            let found = &deployed.found[&ghdeploy::base::path::RootPath::new(path).unwrap()];
            assert_ne!(*found, ghdeploy::state::deployed::Found::Entry(entry(node)), "{path:?}");
        }
        bed.sync("blog", &new).await;
        assert_eq!(bed.live(), live(&new));

        bed.sync("blog", &Tree::new()).await;
        assert_eq!(bed.live(), unmanaged);
        bed.expect_deployed("blog", &Tree::new()).await;
    }
}
