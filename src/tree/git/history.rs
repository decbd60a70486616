//! Commits of a repository: how they are related, and how missing ones are fetched.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use base64::prelude::{BASE64_STANDARD, Engine};

use super::Repository;
use super::command::{GitError, git, run};
use super::objects::Object;
use crate::base::secret::Secret;

/// How much history is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The named commits.
    Named,
    /// So many commits, counted back from each of the named ones.
    Last(usize),
    /// The named commits and everything before them.
    All,
}

/// Credentials for a fetch.
#[derive(Debug)]
pub struct Login<'a> {
    /// The server that the token is for, such as `https://github.com`.
    pub server: &'a str,
    /// The token.
    pub token: &'a Secret,
}

fn is_name(name: &str) -> bool {
    name.len() >= 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Repository {
    /// Whether `older` is an ancestor of `newer`; both are full names of commits. `None` if the clone lacks
    /// one of them or a commit between them.
    #[must_use]
    pub fn is_ancestor(&self, older: &str, newer: &str) -> Option<bool> {
        if !is_name(older) || !is_name(newer) {
            return None;
        }
        match run(git(&self.dir).args(["merge-base", "--is-ancestor", older, newer])) {
            Ok(_) => Some(true),
            // In a shallow clone the path from one to the other may be cut off.
            Err(GitError::Failed(message)) if message == "exit status: 1" => {
                (!self.work_tree.is_shallow()).then_some(false)
            }
            Err(_) => None,
        }
    }

    /// Committer date of a commit in seconds since 1970; `commit` is its full name. `None` if the clone lacks
    /// it.
    #[must_use]
    pub fn committed(&self, commit: &str) -> Option<i64> {
        let shown = run(git(&self.dir).args(["show", "-s", "--format=%ct", commit])).ok()?;
        String::from_utf8(shown).ok()?.trim().parse().ok()
    }

    /// The commits at the beginning of the history; empty if the clone does not reach that far.
    #[must_use]
    pub fn first_commits(&self) -> Vec<String> {
        if self.is_shallow() {
            return Vec::new();
        }
        let shown = run(git(&self.dir).args(["rev-list", "--max-parents=0", "HEAD"])).unwrap_or_default();
        String::from_utf8_lossy(&shown).lines().filter(|name| is_name(name)).map(str::to_owned).collect()
    }

    /// The address of `origin`, which may hold a password.
    #[must_use]
    pub fn origin(&self) -> Option<Secret> {
        let shown = run(git(&self.dir).args(["config", "--get", "remote.origin.url"])).ok()?;
        Some(Secret::new(String::from_utf8(shown).ok()?))
    }

    /// Whether the clone is shallow.
    #[must_use]
    pub fn is_shallow(&self) -> bool {
        self.work_tree.is_shallow()
    }

    /// The parents of a commit, including those that a shallow clone cut off; `commit` is its full name.
    /// `None` if the clone lacks it.
    #[must_use]
    pub fn parents(&self, commit: &str) -> Option<Vec<String>> {
        let object = self.objects.find(commit).ok()?.filter(Object::is_commit)?;
        let text = String::from_utf8_lossy(&object.content).into_owned();
        let header = text.lines().take_while(|line| !line.is_empty());
        Some(header.filter_map(|line| line.strip_prefix("parent ")).map(str::to_owned).collect())
    }

    /// Author with date, and message of a commit; `commit` is its full name. `None` if the clone lacks it.
    #[must_use]
    pub fn authored(&self, commit: &str) -> Option<String> {
        let object = self.objects.find(commit).ok()?.filter(Object::is_commit)?;
        let text = String::from_utf8_lossy(&object.content).into_owned();
        let (header, message) = text.split_once("\n\n")?;
        let author = header.lines().find(|line| line.starts_with("author "))?;
        Some(format!("{author}\n\n{}", message.trim_end()))
    }

    /// The merge base of two commits; both are full names. `None` if the clone cannot tell.
    #[must_use]
    pub fn merge_base(&self, one: &str, other: &str) -> Option<String> {
        if !is_name(one) || !is_name(other) {
            return None;
        }
        let base = run(git(&self.dir).args(["merge-base", one, other])).ok()?;
        let base = String::from_utf8(base).ok()?.trim().to_owned();
        // In a shallow clone the result may be an older common ancestor, but it is always a common ancestor.
        is_name(&base).then_some(base)
    }

    /// Whether files that git tracks differ from the commit that is checked out.
    ///
    /// # Errors
    ///
    /// The message of git.
    pub fn is_modified(&self) -> Result<bool, String> {
        let shown = run(git(&self.dir).args(["status", "--porcelain", "--untracked-files=no"]));
        shown.map(|shown| !shown.is_empty()).map_err(words)
    }

    /// Paths of the files that git tracks in the work tree, from the folder of the repository.
    ///
    /// # Errors
    ///
    /// The message of git.
    pub fn tracked(&self) -> Result<Vec<PathBuf>, String> {
        let shown = run(git(&self.dir).args(["ls-files", "-z", "--cached"])).map_err(words)?;
        let paths = shown.split(|byte| *byte == 0).filter(|path| !path.is_empty());
        Ok(paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect())
    }

    /// Whether the clone has a commit; `commit` is its full name.
    #[must_use]
    pub fn has(&self, commit: &str) -> bool {
        is_name(commit) && self.parents(commit).is_some()
    }

    /// Fetches commits by their full names from `origin`, first with the clone's own credentials, then with a
    /// token.
    ///
    /// # Errors
    ///
    /// The message of git, which never holds the token.
    pub fn fetch(&self, commits: &[&str], depth: Depth, login: Option<Login<'_>>) -> Result<(), String> {
        if !commits.iter().all(|commit| is_name(commit)) {
            return Err("that is not the name of a commit".to_owned());
        }
        self.ask_origin(login, &|command| {
            // Gives up on a server that is silent for half a minute.
            command.args([
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-recurse-submodules",
                "--no-write-fetch-head",
            ]);
            match depth {
                // A depth would make a complete clone shallow.
                Depth::Named if self.is_shallow() => command.arg("--depth=1"),
                Depth::Last(commits) if self.is_shallow() => command.arg(format!("--depth={commits}")),
                Depth::All if self.is_shallow() => command.arg("--unshallow"),
                _ => &mut *command,
            };
            command.args(["origin", "--"]).args(commits);
        })
        .map(|_| ())
    }

    /// The newest commit of a branch at `origin`, with the name of the branch; of the default branch if none
    /// is named. First with the clone's own credentials, then with a token.
    ///
    /// # Errors
    ///
    /// The message of git, which never holds the token, or that there is no such branch.
    pub fn newest_at_origin(
        &self,
        branch: Option<&str>,
        login: Option<Login<'_>>,
    ) -> Result<(Option<String>, String), String> {
        let wanted = branch.map_or_else(|| "HEAD".to_owned(), |branch| format!("refs/heads/{branch}"));
        let listed = self.ask_origin(login, &|command| {
            command.args(["ls-remote", "--symref", "--quiet", "origin", &wanted]);
        })?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let (mut name, mut commit) = (branch.map(str::to_owned), None);
        for (value, of) in listed.lines().filter_map(|line| line.split_once('\t')) {
            match value.strip_prefix("ref: refs/heads/") {
                Some(default) if of == "HEAD" => name = Some(default.to_owned()),
                None if of == wanted && is_name(value) => commit = Some(value.to_owned()),
                _ => {}
            }
        }
        commit.map(|commit| (name, commit)).ok_or_else(|| "it has no such branch".to_owned())
    }

    /// Runs a command of git that asks `origin`, first with the clone's own credentials, then with a token.
    fn ask_origin(
        &self,
        login: Option<Login<'_>>,
        arguments: &dyn Fn(&mut std::process::Command),
    ) -> Result<Vec<u8>, String> {
        let ask = |login: Option<&Login<'_>>| {
            let mut command = git(&self.dir);
            command.args(["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=30"]);
            command.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=20");
            arguments(&mut command);
            if let Some(Login { server, token }) = login {
                // Through the environment: every user of this machine can see arguments.
                let header = BASE64_STANDARD.encode(format!("x-access-token:{}", token.reveal()));
                command
                    .env("GIT_CONFIG_COUNT", "1")
                    .env("GIT_CONFIG_KEY_0", format!("http.{server}/.extraheader"))
                    .env("GIT_CONFIG_VALUE_0", format!("AUTHORIZATION: basic {header}"));
            }
            run(&mut command)
        };
        let failed = match ask(None) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let failed = match login {
            Some(login) => match ask(Some(&login)) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            },
            None => failed,
        };
        Err(words(failed))
    }

    /// The branch that is checked out.
    #[must_use]
    pub fn branch(&self) -> Option<String> {
        self.symbolic("HEAD", "refs/heads/")
    }

    /// The default branch, as far as the clone shows it: that of `origin`, the only branch, or `main` or
    /// `master`.
    #[must_use]
    pub fn default_branch(&self) -> Option<String> {
        if let Some(branch) = self.symbolic("refs/remotes/origin/HEAD", "refs/remotes/origin/") {
            return Some(branch);
        }
        let shown = run(git(&self.dir).args(["for-each-ref", "--format=%(refname)", "refs/heads"])).ok()?;
        let shown = String::from_utf8_lossy(&shown).into_owned();
        let names: Vec<&str> = shown.lines().filter_map(|line| line.strip_prefix("refs/heads/")).collect();
        let usual = ["main", "master"].into_iter().find(|usual| names.contains(usual));
        match names.as_slice() {
            [only] => Some((*only).to_owned()),
            _ => usual.map(str::to_owned),
        }
    }

    /// The newest commit of a branch in this clone: of the branch itself, or of what `origin` had at the last
    /// fetch.
    #[must_use]
    pub fn newest_here(&self, branch: &str) -> Option<String> {
        let of = |name: String| self.objects.find(&name).ok()?.filter(Object::is_commit);
        let found = of(format!("refs/heads/{branch}^{{commit}}"))
            .or_else(|| of(format!("refs/remotes/origin/{branch}^{{commit}}")))?;
        Some(found.name)
    }

    fn symbolic(&self, name: &str, prefix: &str) -> Option<String> {
        let shown = run(git(&self.dir).args(["symbolic-ref", "--quiet", name])).ok()?;
        Some(String::from_utf8(shown).ok()?.trim().strip_prefix(prefix)?.to_owned())
    }
}

/// The message of a failure, in one line.
fn words(failed: GitError) -> String {
    match failed {
        GitError::Failed(message) => {
            let line = message.lines().find(|line| line.contains(": ")).or(message.lines().next());
            line.unwrap_or_default().trim_start_matches("fatal: ").to_owned()
        }
        GitError::Missing => "there is no `git` command".to_owned(),
        GitError::Io(error) => error.to_string(),
        GitError::TimedOut(limit) => format!("git did not end within {} s", limit.as_secs()),
    }
}
