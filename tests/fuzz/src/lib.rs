//! Shared parts of the fuzz targets: a tree in memory, and the properties of every project.

use std::collections::BTreeMap;
use std::sync::Arc;

use ghdeploy::compose::model::Project;
use ghdeploy::compose::{self, Files, NodeKind};
use ghdeploy::base::diagnostic::Diagnostic;
use ghdeploy::base::path::RootPath;

/// Value that only `.env` holds. No message may contain it.
const SECRET: &str = "hunter2";

/// Variables that every target defines.
pub const VARIABLES: &str = "S=hunter2\nE=\nN=1\nD=./dir\nI=nginx:1\nU=$HOST\n";

/// Separator of the parts of an input, a byte that UTF-8 never contains.
const SEPARATOR: u8 = 0xff;

/// Splits an input into its parts.
pub fn parts(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| *byte == SEPARATOR)
}

/// Files by path. A folder exists if it has a file.
#[derive(Clone, Default)]
pub struct Tree(BTreeMap<&'static str, Vec<u8>>);

impl Tree {
    /// Adds a file.
    #[must_use]
    pub fn with(mut self, path: &'static str, content: impl Into<Vec<u8>>) -> Self {
        self.0.insert(path, content.into());
        self
    }

    fn load(&self) -> Project {
        let dir = RootPath::new("blog").expect("a plain name");
        let _ = compose::find(self, &dir);
        compose::load(self, &dir, "/srv/services")
    }

    fn holds(&self, text: &str) -> bool {
        let found = |content: &[u8]| content.windows(text.len()).any(|part| part == text.as_bytes());
        self.0.values().any(|content| found(content))
    }

    /// Loads the project `blog` and asserts everything that holds for any files.
    pub fn check(&self) {
        let project = self.load();
        let digests = digests(&project);
        for found in &project.diagnostics {
            self.check_place(found);
        }
        self.check_secret(&project);
        let again = self.load();
        assert_eq!(project.diagnostics, again.diagnostics, "other problems the second time");
        assert_eq!(digests, self::digests(&again), "other digests the second time");
        if project.diagnostics.is_empty() {
            self.check_comment(&digests);
        }
    }

    fn check_place(&self, found: &Diagnostic) {
        let Some(at) = &found.at else { return };
        let path = at.path.strip_prefix("services/").unwrap_or(&at.path);
        assert!(self.0.contains_key(path), "in a file that is not there: {found:?}");
        assert!(at.line >= 1 && at.column >= 1, "nowhere in the file: {found:?}");
    }

    /// Asserts that no message shows the secret, unless a file other than `.env` or a file name holds it too.
    fn check_secret(&self, project: &Project) {
        let rest = self.0.iter().map(|(path, content)| match content.strip_prefix(VARIABLES.as_bytes()) {
            Some(rest) if path.ends_with(".env") => (*path, rest.to_vec()),
            _ => (*path, content.clone()),
        });
        let rest = Self(rest.collect());
        if rest.holds(SECRET) || rest.holds("COMPOSE_FILE") {
            return;
        }
        let shown = format!("{:?}", project.diagnostics);
        assert!(!shown.contains(SECRET), "a secret is shown: {shown}");
    }

    /// Asserts that a comment at the end of the compose file changes nothing.
    fn check_comment(&self, digests: &[(String, String)]) {
        let Some(compose) = self.0.get("blog/compose.yml").filter(|text| text.ends_with(b"\n")) else {
            return;
        };
        let commented = [compose, b"# comment\n".as_slice()].concat();
        let project = self.clone().with("blog/compose.yml", commented).load();
        assert!(project.diagnostics.is_empty(), "a comment made problems: {:?}", project.diagnostics);
        assert_eq!(digests, self::digests(&project), "a comment changed a definition");
    }
}

impl Files for Tree {
    fn kind(&self, path: &RootPath) -> Option<NodeKind> {
        if self.0.contains_key(path.as_str()) {
            return Some(NodeKind::File);
        }
        let below = format!("{path}/");
        self.0.keys().any(|file| path.is_root() || file.starts_with(&below)).then_some(NodeKind::Dir)
    }

    fn read(&self, path: &RootPath) -> Result<Option<Arc<[u8]>>, String> {
        Ok(self.0.get(path.as_str()).map(|content| Arc::from(content.as_slice())))
    }

    fn shown(&self, path: &RootPath) -> String {
        format!("services/{path}")
    }
}

/// Returns each service with its digests.
fn digests(project: &Project) -> Vec<(String, String)> {
    let services = project.services.iter();
    services
        .map(|(name, service)| {
            (name.clone(), format!("{} {:?} {:?}", service.definition, service.unhashed, service.build))
        })
        .collect()
}
