//! How `docker buildx` is called to build, push and tag one image. Logins are Docker's own.
//!
//! Bake reads the compose files by itself; what is added are tags, labels, where the result goes, and
//! permission for exactly what the compose files name ([`crate::images::bake`]).

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::args::BuildArgs;
use super::context::Context;
use super::tags::docker;
use crate::base::error::{Error, Result};
use crate::base::secret::secret_variables;
use crate::images::bake::{ADDRESSES, Accesses, Cache, TOKEN};
use crate::images::builds::ImageOutcome;
use crate::images::reference;
use crate::plan::ProjectPlan;
use crate::tree::regular;

/// Largest compose file that is searched for names of variables, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// Variable that says that GitHub's cache is of the second version.
const SECOND: &str = "ACTIONS_CACHE_SERVICE_V2";

/// Abilities of the installed buildx.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buildx {
    /// Whether bake takes permissions (`--allow`, since 0.17), which it demands since 0.20.
    has_permissions: bool,
    /// Whether a tag can be moved to an image without a change of its digest (`--prefer-index`, since 0.15).
    pub(super) moves_tags: bool,
}

/// Image to build, with everything that bake does not find in the compose files.
pub(super) struct Bake<'a> {
    pub(super) context: &'a Context,
    pub(super) args: &'a BuildArgs,
    pub(super) project: &'a ProjectPlan,
    pub(super) outcome: &'a ImageOutcome,
    pub(super) sha: &'a str,
    /// The digest of everything that it is built from.
    pub(super) inputs: Option<&'a String>,
}

impl Buildx {
    /// Asks which abilities it has.
    ///
    /// # Errors
    ///
    /// When there is no docker, or no buildx.
    pub(super) fn find() -> Result<Self> {
        let help = |arguments: &[&str]| {
            let output = docker().arg("buildx").args(arguments).arg("--help").output().map_err(|error| {
                Error::usage(format!("failed to start docker: {error}")).help("install Docker with buildx")
            })?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok::<_, Error>(text + &String::from_utf8_lossy(&output.stderr))
        };
        Ok(Self {
            has_permissions: help(&["bake"])?.contains("--allow"),
            moves_tags: help(&["imagetools", "create"])?.contains("--prefer-index"),
        })
    }
}

/// Refuses a cache that buildx would leave out without a word.
///
/// # Errors
///
/// When GitHub's cache is asked for, and the variables that lead there are not set.
pub(super) fn refuse_missing_cache(args: &BuildArgs) -> Result<()> {
    for (option, values) in [("--cache-from", &args.cache_from), ("--cache-to", &args.cache_to)] {
        for value in lines(values) {
            if Cache::parse(value).is_left_out(has) {
                let message =
                    format!("{option} {value} needs {TOKEN} and {}, which are not set", ADDRESSES[0]);
                return Err(Error::usage(message).help(
                    "GitHub gives them to actions in JavaScript only: pass them on from a step with actions/github-script (README, `Images of tested commits`), or use type=registry",
                ));
            }
            if Cache::parse(value).is_left_out(|name| name != ADDRESSES[0] && has(name))
                && let Some((major, minor)) = version()
                && (major, minor) < RESULTS
            {
                let message = format!(
                    "{option} {value} needs buildx {}.{}, and this is {major}.{minor}",
                    RESULTS.0, RESULTS.1
                );
                return Err(Error::usage(message).help(
                    "older ones leave GitHub's cache of today out: update buildx, or use type=registry",
                ));
            }
        }
    }
    Ok(())
}

/// The first version of buildx that knows the second version of GitHub's cache, whose address is in
/// `ACTIONS_RESULTS_URL`.
const RESULTS: (u32, u32) = (0, 21);

/// Major and minor version of buildx; `None` if it does not say.
fn version() -> Option<(u32, u32)> {
    let output = docker().args(["buildx", "version"]).output().ok()?;
    version_in(&String::from_utf8_lossy(&output.stdout))
}

/// Reads `github.com/docker/buildx v0.29.1 a1b2c3`.
fn version_in(text: &str) -> Option<(u32, u32)> {
    let read = |word: &str| {
        let mut parts = word.trim_start_matches('v').split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    text.split_whitespace().find_map(read)
}

fn has(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// The values of an option, of which each may be several lines.
fn lines(values: &[String]) -> impl Iterator<Item = &str> {
    values.iter().flat_map(|values| values.lines()).map(str::trim).filter(|value| !value.is_empty())
}

impl Bake<'_> {
    /// The command that builds the image with these tags, and writes what it made to the file `metadata`.
    ///
    /// # Errors
    ///
    /// The words of bake if it cannot read the compose files.
    pub(super) fn command(&self, buildx: Buildx, tags: &[&str], metadata: &Path) -> Result<Command, String> {
        let mut print = self.bake(tags);
        let printed = print.arg("--print").arg(self.target()).output();
        let printed = printed.map_err(|error| format!("failed to start docker: {error}"))?;
        if !printed.status.success() {
            let _ = std::io::stderr().lock().write_all(&printed.stderr);
            return Err("docker buildx bake cannot read its compose files".to_owned());
        }
        let accesses =
            serde_json::from_slice::<Value>(&printed.stdout).map(|printed| Accesses::read(&printed));
        let accesses = accesses.map_err(|error| format!("docker buildx bake --print: {error}"))?;
        if accesses.caches.iter().any(|cache| cache.is_left_out(has)) {
            self.context.say(&format!(
                "the compose files of {} name the cache type=gha, which is not used: {TOKEN} and {} are not set",
                self.project.name, ADDRESSES[0]
            ));
        }
        let mut command = self.bake(tags);
        if accesses.caches.iter().any(Cache::is_github)
            && let Some(token) = std::env::var_os(TOKEN)
        {
            command.env(TOKEN, token);
            // Otherwise buildx would talk to the second version of the cache as to the first one.
            if !has(ADDRESSES[1]) && !has(SECOND) {
                command.env(SECOND, "true");
            }
        }
        if buildx.has_permissions {
            for allowed in self.permissions(&accesses)? {
                command.arg(format!("--allow={allowed}"));
            }
        }
        command.arg("--metadata-file").arg(metadata);
        if self.args.push {
            command.arg("--push");
        }
        if self.args.load {
            command.arg("--load");
        }
        command.arg(self.target());
        Ok(command)
    }

    /// What bake is allowed: what the compose files name, and nothing more.
    fn permissions(&self, accesses: &Accesses) -> Result<Vec<String>, String> {
        let folder = self.folder();
        let own = folder.canonicalize().ok();
        let is_inside = |path: &Path| {
            own.as_ref().is_some_and(|own| path.canonicalize().is_ok_and(|path| path.starts_with(own)))
        };
        let mut allowed = Vec::new();
        for (paths, access) in [(&accesses.written, "fs.write"), (&accesses.cached, "fs.read")] {
            for path in paths {
                let full = folder.join(path);
                // Bake asks for the folder that exists, so a new one would need all of the folder above it.
                std::fs::create_dir_all(&full)
                    .map_err(|error| format!("the folder {path} of its cache cannot be made: {error}"))?;
                if !is_inside(&full) {
                    allowed.push(format!("{access}={}", full.display()));
                }
            }
        }
        if let Some(path) = accesses.read.iter().find(|path| !folder.join(path).exists()) {
            return Err(format!("its compose file names {path}, which does not exist"));
        }
        let outside = accesses.read.iter().map(|path| folder.join(path)).filter(|path| !is_inside(path));
        allowed.extend(outside.map(|path| format!("fs.read={}", path.display())));
        allowed.extend(accesses.has_agent.then(|| "ssh".to_owned()));
        allowed.extend(accesses.privileges.iter().cloned());
        Ok(allowed)
    }

    /// Command `docker buildx bake` in the project's folder, without its last arguments.
    fn bake(&self, tags: &[&str]) -> Command {
        let (context, target) = (self.context, self.target());
        let mut command = docker();
        // A compose file may name a variable as the secret of a build.
        let texts: Vec<Vec<u8>> = self
            .project
            .compose_files
            .iter()
            .filter_map(|file| regular::read(&context.dir.join(file), MAX_BYTES).ok())
            .collect();
        for variable in secret_variables(std::env::vars_os().map(|(name, _)| name)) {
            let name = variable.to_string_lossy();
            if texts.iter().any(|text| String::from_utf8_lossy(text).contains(&*name))
                && let Some(value) = std::env::var_os(&variable)
            {
                command.env(&variable, value);
            }
        }
        command.current_dir(self.folder());
        command.args(["buildx", "bake", "--progress", "plain"]);
        for file in &self.project.compose_files {
            let path = context.dir.join(file);
            command.arg("--file").arg(std::path::absolute(&path).unwrap_or(path));
        }
        let mut set = |key: &str, value: &str| {
            command.arg("--set").arg(format!("{target}.{key}={value}"));
        };
        for tag in tags {
            set("tags", tag);
        }
        // https://github.com/opencontainers/image-spec/blob/main/annotations.md
        let run = context.github.as_ref();
        let source = run.and_then(|run| Some(format!("{}/{}", run.server, run.repository.as_ref()?)));
        let created = crate::deploy::now();
        let version = format!("sha-{}", &self.sha[..12.min(self.sha.len())]);
        let own = |name: &str| format!("org.opencontainers.image.{name}");
        let labels = [
            (reference::REVISION.to_owned(), Some(self.sha)),
            (reference::INPUTS.to_owned(), self.inputs.map(String::as_str)),
            (own("source"), source.as_deref()),
            (own("created"), Some(&*created)),
            (own("version"), Some(&*version)),
        ];
        for (label, value) in labels {
            if let Some(value) = value {
                set(&format!("labels.{label}"), value);
            }
        }
        let args = self.args;
        for (key, values) in
            [("platform", &args.platform), ("cache-from", &args.cache_from), ("cache-to", &args.cache_to)]
        {
            for value in lines(values) {
                set(key, value);
            }
        }
        command
    }

    fn folder(&self) -> PathBuf {
        let folder = self.context.dir.join(&self.project.path);
        std::path::absolute(&folder).unwrap_or(folder)
    }

    /// Name of bake's target for a service
    /// ([its own rule](https://github.com/docker/buildx/blob/master/bake/compose.go)).
    fn target(&self) -> String {
        self.outcome.service.replace('.', "_")
    }

    /// The digest in the file that bake has written; `None` if it reports none.
    pub(super) fn digest(&self, metadata: &Path) -> Option<String> {
        let text = std::fs::read_to_string(metadata).ok()?;
        let metadata: Value = serde_json::from_str(&text).ok()?;
        let digest = metadata.get(self.target())?.get("containerimage.digest")?.as_str()?;
        digest.starts_with("sha256:").then(|| digest.to_owned())
    }
}

/// Moves tags to an image at a registry, `NAME@DIGEST`. Returns whether that succeeded.
pub(super) fn move_tags(tags: &[String], image: &str) -> bool {
    let mut command = docker();
    command.args(["buildx", "imagetools", "create", "--prefer-index=false"]);
    for tag in tags {
        command.args(["--tag", tag]);
    }
    // stdout carries only the result.
    command.arg(image).stdout(Stdio::from(std::io::stderr())).status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_buildx_is_read_from_every_vendors_answer() {
        for (text, version) in [
            ("github.com/docker/buildx v0.29.1 28f6246ff24cf0ddfe3bf1b1e9fa6e7f1a3e4d6a\n", Some((0, 29))),
            ("github.com/docker/buildx 0.13.1+ds1 0.13.1+ds1-3\n", Some((0, 13))),
            ("github.com/docker/buildx v0.20.0-desktop.1 1a2b3c\n", Some((0, 20))),
            ("github.com/docker/buildx (devel)\n", None),
            ("", None),
        ] {
            assert_eq!(version_in(text), version, "{text}");
        }
    }
}
