//! Any tree can be replaced by any other and restored, whatever unmanaged files lie beside it.

use std::collections::BTreeSet;

use ghdeploy::host::Command;
use proptest::prelude::*;

use crate::bed::{Bed, Node, Shell, Tree, expect_ok};

/// Few names, so that trees overlap and files clash with folders.
const NAMES: [&str; 9] = ["a", "b", "c d", "-e", "*", "new\nline", "\\0101", ".f", "x: OK"];

fn node() -> impl Strategy<Value = Node> {
    let content = prop::sample::select(vec!["", "1", "two", "three\n", "\\four"]);
    let mode = prop::sample::select(vec![0o644, 0o755, 0o600]);
    prop_oneof![
        4 => (content, mode).prop_map(|(content, mode)| Node::File { content: content.to_owned(), mode }),
        1 => prop::sample::select(vec!["a", "../b", "/nowhere", "-e"]).prop_map(|target| Node::Link(target.to_owned())),
    ]
}

fn nodes() -> impl Strategy<Value = Vec<(String, Node)>> {
    let path = prop::collection::vec(prop::sample::select(NAMES.to_vec()), 1..4)
        .prop_map(|parts| format!("p/{}", parts.join("/")));
    prop::collection::vec((path, node()), 0..10)
}

/// Tree of those nodes that clash neither with each other nor with `there`.
fn fitting(nodes: Vec<(String, Node)>, there: &[&Tree]) -> Tree {
    let mut tree = Tree::new();
    for (path, node) in nodes {
        let clashes = |other: &String| {
            *other == path || other.starts_with(&format!("{path}/")) || path.starts_with(&format!("{other}/"))
        };
        if !tree.keys().any(clashes) && !there.iter().flat_map(|tree| tree.keys()).any(clashes) {
            tree.insert(path, node);
        }
    }
    tree
}

async fn there_and_back(old: Tree, new: Tree, unmanaged: Tree, in_place: BTreeSet<String>) {
    let bed = Bed::new(Shell::Dash);
    let with_unmanaged =
        |ours: &Tree| -> Tree { unmanaged.clone().into_iter().chain(ours.clone()).collect() };
    bed.put(&unmanaged);
    bed.sync("p", &old).await;
    assert_eq!(bed.live(), with_unmanaged(&old));
    let driver = bed.opened().await;
    let is_file = |tree: &Tree, path: &str| matches!(tree.get(path), Some(Node::File { .. }));
    let in_place: Vec<&str> = in_place
        .iter()
        .map(String::as_str)
        .filter(|path| is_file(&old, path) && is_file(&new, path))
        .collect();
    bed.stage(&driver, "p", &new, &in_place).await;
    expect_ok(&driver.call(&Command::Swap("p".to_owned())).await.unwrap());
    assert_eq!(exact(bed.live(), &new), with_unmanaged(&new));
    expect_ok(&driver.call(&Command::Restore("p".to_owned())).await.unwrap());
    assert_eq!(exact(bed.live(), &old), with_unmanaged(&old));
    bed.finish(driver).await;
    bed.expect_deployed("p", &old).await;
    bed.sync("p", &new).await;
    bed.expect_deployed("p", &new).await;
    for node in old.values().filter(|node| !new.values().any(|other| other == *node)) {
        let (Node::File { content, .. } | Node::Link(content)) = node else { continue };
        let is_live =
            new.values().any(|other| matches!(other, Node::File { content: other, .. } if other == content));
        assert!(is_live || bed.kept(content).as_ref() == Some(content));
    }
}

/// `live` with the wanted modes where the executable bit is the same: the driver compares nothing else of a
/// mode.
fn exact(mut live: Tree, wanted: &Tree) -> Tree {
    for (path, node) in &mut live {
        if let (Node::File { mode, .. }, Some(Node::File { mode: wanted, .. })) = (node, wanted.get(path))
            && (*mode & 0o111 == 0) == (*wanted & 0o111 == 0)
        {
            *mode = *wanted;
        }
    }
    live
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_is_replaced_by_any_other_and_restored(old in nodes(), new in nodes(), unmanaged in nodes(), stays in prop::collection::vec(any::<bool>(), 10), in_place in prop::collection::vec(prop::sample::select(NAMES.to_vec()), 0..9)) {
        let old = fitting(old, &[]);
        let kept: Vec<(String, Node)> = old.clone().into_iter().zip(stays).filter(|(_, stays)| *stays).map(|(node, _)| node).collect();
        let new = fitting(kept.into_iter().chain(new).collect(), &[]);
        let unmanaged = fitting(unmanaged, &[&old, &new]);
        let in_place = in_place.into_iter().map(|name| format!("p/{name}")).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(there_and_back(old, new, unmanaged, in_place));
    }
}
