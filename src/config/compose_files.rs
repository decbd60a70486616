//! `compose`: the compose and env files of a project, for all hosts or for one.
//!
//! Owns the placeholder in their names, and the options of Compose that they mean.

use serde::{Deserialize, Serialize};

/// The compose and env files that Compose gets as options, by their paths from a project's folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComposeFiles {
    /// `--file`: compose files, each merged over the one before. Those that a project lacks are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// `--env-file`: files whose variables are substituted, in the place of the project's `.env`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_files: Vec<String>,
}

impl ComposeFiles {
    /// Whether there are none, so that Compose takes those of the default names.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.env_files.is_empty()
    }

    /// The files for a host: `{host}` stands for its name.
    #[must_use]
    pub fn for_host(&self, name: &str) -> Self {
        let of = |files: &[String]| files.iter().map(|file| file.replace("{host}", name)).collect();
        Self { files: of(&self.files), env_files: of(&self.env_files) }
    }

    /// The options of `docker compose`.
    #[must_use]
    pub fn argv(&self) -> Vec<String> {
        let option = |name: &'static str, files: &[String]| -> Vec<String> {
            files.iter().flat_map(|file| [name.to_owned(), file.clone()]).collect()
        };
        [option("--file", &self.files), option("--env-file", &self.env_files)].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_host_is_a_part_of_file_names() {
        let all = ComposeFiles {
            files: vec!["compose.yml".to_owned(), "compose.{host}.yml".to_owned()],
            env_files: vec!["../{host}.env".to_owned()],
        };
        let argv = all.for_host("web").argv().join(" ");
        assert_eq!(argv, "--file compose.yml --file compose.web.yml --env-file ../web.env");
    }
}
