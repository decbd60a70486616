//! The order in which projects are brought up.

use crate::bench::{Projects, project};

fn order(repo: &Projects) -> Vec<String> {
    repo.plan(&Default::default()).plan().projects.iter().map(|project| project.name.clone()).collect()
}

fn plain(after: &str) -> String {
    format!("x-ghdeploy: {{after: [{after}]}}\nservices: {{web: {{image: a}}}}\n")
}

#[test]
fn projects_go_by_name_if_nothing_orders_them() {
    let repo = Projects::new(&[
        ("c/compose.yml", &plain("")),
        ("a/compose.yml", &plain("")),
        ("b/compose.yml", &plain("")),
    ]);
    assert_eq!(order(&repo), ["a", "b", "c"]);
}

#[test]
fn after_puts_a_project_behind_others() {
    let repo = Projects::new(&[
        ("a/compose.yml", &plain("c")),
        ("b/compose.yml", &plain("a, nowhere")),
        ("c/compose.yml", &plain("c")),
    ]);
    assert_eq!(order(&repo), ["c", "a", "b"]);
    let work = repo.plan(&Default::default());
    assert_eq!(project(&work, "b").after, ["a"]);
    assert_eq!(project(&work, "c").after, Vec::<String>::new());
    assert!(work.notes.is_empty(), "{:?}", work.notes);
}

#[test]
fn a_project_that_makes_a_network_goes_before_those_that_join_it() {
    let repo = Projects::new(&[
        (
            "app/compose.yml",
            "services: {web: {image: a, networks: [edge]}}\nnetworks: {edge: {external: true, name: web}}\n",
        ),
        (
            "blog/compose.yml",
            "services: {web: {image: a, networks: [z_back]}}\nnetworks: {z_back: {external: true}}\n",
        ),
        ("proxy/compose.yml", "services: {p: {image: p, networks: [web]}}\nnetworks: {web: {name: web}}\n"),
        ("z/compose.yml", "services: {p: {image: p, networks: [back]}}\nnetworks: {back: {}}\n"),
    ]);
    assert_eq!(order(&repo), ["proxy", "z", "app", "blog"]);
    let work = repo.plan(&Default::default());
    assert_eq!(project(&work, "app").after, ["proxy"]);
    assert_eq!(project(&work, "blog").after, ["z"]);
}

#[test]
fn a_cycle_is_cut_and_reported() {
    let repo = Projects::new(&[
        ("a/compose.yml", &plain("b")),
        ("b/compose.yml", &plain("c")),
        ("c/compose.yml", &plain("a")),
        ("d/compose.yml", &plain("c")),
    ]);
    let work = repo.plan(&Default::default());
    let notes: Vec<&str> = work.notes.iter().map(|note| note.message.as_str()).collect();
    assert_eq!(notes, ["projects come after each other in a circle: a after b after c after a"]);
    let at = work.notes[0].at.as_ref().unwrap();
    assert_eq!(at.to_string(), "services/a/compose.yml:1:21");
    assert_eq!(order(&repo), ["a", "c", "b", "d"]);
    // Every project comes after those that it waits for.
    for (number, plan) in work.projects.iter().map(|work| &work.plan).enumerate() {
        assert!(
            plan.after
                .iter()
                .all(|name| work.plan().projects[..number].iter().any(|before| before.name == *name)),
            "{}: {:?}",
            plan.name,
            plan.after
        );
    }
}

#[test]
fn the_order_holds_among_the_selected_ones() {
    let repo = Projects::new(&[
        ("a/compose.yml", &plain("b")),
        ("b/compose.yml", &plain("c")),
        ("c/compose.yml", &plain("")),
    ]);
    let work = repo.plan_with(&Default::default(), |asked| asked.projects = vec!["a", "b"]);
    let names: Vec<&str> =
        work.projects.iter().map(|work| &work.plan).map(|project| project.name.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
}
