//! `check`: validates the configuration and every project, without a host.

use super::context::Context;
use super::publish::Shown;
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Exit, Result};
use crate::compose::model::{Project, ProjectSettings, UndefinedVariable};
use crate::compose::{Files as _, ProjectCache};
use crate::images::reference;
use crate::lint::{HostProjects, lint};
use crate::outcome::queries::{CheckReport, LeftOutFolder, ProjectVariables, VariableUse};
use crate::plan::{circles, no_project_of_hook, no_service_of_hook, same_folder_name, same_name};
use crate::state::host_only::is_of_session;
use crate::tree;
use crate::tree::disk::{DiskTree, found};
use crate::tree::{OnHost, left_out, models, project_dirs, skipped};

pub(super) fn run(context: &Context) -> Result<Exit> {
    let tree = DiskTree::open(&context.dir, &context.config.services, &context.config.sync)?;
    let targets = context.targets_or_any()?;
    let (root, options) =
        targets.first().map(|target| (target.root.clone(), target.compose.clone())).unwrap_or_default();
    let for_first = OnHost::new(&tree).compose(&options);
    let dirs = project_dirs(&for_first, &context.config.services)?;
    let skipped = skipped(&for_first, &context.config.services).into_iter();
    let mut report = CheckReport {
        projects: dirs.len(),
        services: 0,
        diagnostics: Vec::new(),
        variables: Vec::new(),
        left_out: skipped.map(|(path, by)| LeftOutFolder { path, by }).collect(),
    };
    let cache = ProjectCache::default();
    for (dir, project) in dirs.iter().zip(models(&cache, &for_first, &dirs, &root)) {
        report.services += project.services.len();
        let variables = host_variables(&project);
        if !variables.is_empty() {
            report.variables.push(ProjectVariables { project: dir.name.clone(), variables });
        }
        report.diagnostics.extend(project.diagnostics);
        for name in project.settings.after.iter().filter(|name| !dirs.iter().any(|dir| dir.name == **name)) {
            report.diagnostics.push(
                Diagnostic::warning(
                    format!("`after` of project `{}` names `{name}`, which is not a project", dir.name),
                    project.settings.after_at.clone(),
                )
                .help("write the path of its folder below the services folder"),
            );
        }
    }
    let models = models(&cache, &for_first, &dirs, &root);
    let services = |name: &str| {
        let mut own = dirs.iter().zip(&models).filter(|(dir, _)| dir.name == name);
        own.next().map(|(_, project)| project.services.keys().map(String::as_str).collect::<Vec<_>>())
    };
    for hook in models.iter().flat_map(|project| &project.settings.hooks) {
        let Some((project, service)) = hook.other() else { continue };
        report.diagnostics.extend(match services(project) {
            None => {
                let names: Vec<&str> = dirs.iter().map(|dir| dir.name.as_str()).collect();
                Some(no_project_of_hook(hook, project, &names))
            }
            Some(known) if !known.contains(&service) => {
                Some(no_service_of_hook(hook, project, service, &known))
            }
            Some(_) => None,
        });
    }
    for target in context.targets_or_any()? {
        let runs = |name: &str, settings: &ProjectSettings| target.runs(name, settings);
        let tree = OnHost::new(&tree).compose(&target.compose);
        let wanted = tree::read_again(&cache, &tree, &context.config.services, &target.root, &runs)?;
        report
            .diagnostics
            .extend(wanted.projects.iter().filter_map(|project| same_name(project, &wanted.projects)));
        for project in &wanted.projects {
            let is_placeholder = |found: &Diagnostic| {
                found.at.as_ref().is_some_and(|at| project.placeholders.contains(&at.path))
            };
            report.diagnostics.retain(|found| !is_placeholder(found));
            report.diagnostics.extend(project.refused.iter().cloned());
        }
        let namesakes =
            wanted.projects.iter().filter(|project| same_name(project, &wanted.projects).is_none());
        report
            .diagnostics
            .extend(namesakes.filter_map(|project| same_folder_name(project, &wanted.projects)));
        report.diagnostics.extend(wanted.projects.iter().flat_map(|project| &project.notes).cloned());
        report.diagnostics.extend(wanted.absent_problems().flat_map(|(_, problems)| problems));
        report.diagnostics.extend(wanted.unknown_submodules());
        report.diagnostics.extend(circles(&wanted.projects));
        let host = HostProjects { projects: &wanted.projects, files: &tree, is_named: target.is_named };
        report.diagnostics.extend(lint(&host));
    }
    for target in &targets {
        let has = |file: &String| {
            dirs.iter().any(|dir| dir.dir.join(file).is_ok_and(|path| tree.kind(&path).is_some()))
        };
        for file in target.compose.files.iter().filter(|file| !dirs.is_empty() && !has(file)) {
            let message =
                format!("no project has a file {file}, which `compose.files` names for {}", target.name);
            report.diagnostics.push(
                Diagnostic::warning(message, None).help("correct the name, or leave it out of ghdeploy.yml"),
            );
        }
    }
    if reference::has_capitals(&context.registry()) {
        let message = format!("the registry `{}` has a capital letter", context.registry());
        report.diagnostics.push(Diagnostic::error(message, None).help(
            "set `build.registry` or GHDEPLOY_REGISTRY in small letters: images without a name of their own go there",
        ));
    }
    if dirs.is_empty() {
        let places = context.config.services.patterns().collect::<Vec<_>>().join(", ");
        let message = format!("no project found in {places}");
        report.diagnostics.push(Diagnostic::error(message, None).help(found::advice(&context.dir)));
    }
    report.diagnostics.extend(found::above(&context.dir, &context.config.services));
    report.diagnostics.extend(left_out(&tree, &context.config.services, &dirs));
    let order = |found: &Diagnostic| (!found.is_error(), found.at.clone(), found.message.clone());
    report.diagnostics.sort_by_cached_key(order);
    report.diagnostics.dedup();
    let exit = if report.is_ok() { Exit::Done } else { Exit::Usage };
    context.publish(Shown::Check(&report), exit)?;
    Ok(exit)
}

/// The variables that a host must define for a project.
fn host_variables(project: &Project) -> Vec<VariableUse> {
    let of = |(name, variable): (&String, &UndefinedVariable)| VariableUse {
        name: name.clone(),
        need: variable.need,
        at: variable.at.clone(),
    };
    project.undefined_variables.iter().filter(|(name, _)| !is_of_session(name)).map(of).collect()
}
