//! An outcome: the results, the failures with their causes, and the state of each host.

mod markdown;
mod text;

use std::io::{self, Write};

use crate::outcome::{HostOutcome, Outcome, ProjectOutcome, ProjectResult};
use crate::report::{Render, Style, json};

impl Render for Outcome {
    fn text(&self, w: &mut dyn Write, style: Style) -> io::Result<()> {
        text::outcome(w, self, style)
    }

    fn markdown(&self, w: &mut dyn Write) -> io::Result<()> {
        markdown::outcome(w, self)
    }

    fn json(&self, w: &mut dyn Write) -> io::Result<()> {
        json::document(w, self)
    }
}

/// Whether a project was not deployed as planned.
fn has_failed(project: &ProjectOutcome) -> bool {
    !matches!(project.result, ProjectResult::Done | ProjectResult::Unchanged)
}

fn is_shown(project: &&ProjectOutcome) -> bool {
    project.result != ProjectResult::Unchanged
}

/// The projects of a host that have something to show, those that have failed first.
fn failed_first(host: &HostOutcome) -> Vec<&ProjectOutcome> {
    let mut shown: Vec<_> = host.projects.iter().filter(is_shown).collect();
    shown.sort_by_key(|project| !has_failed(project));
    shown
}

/// Number of projects on all hosts that have something to show. Of a single one the end repeats nothing.
fn number_shown(hosts: &[HostOutcome]) -> usize {
    hosts.iter().flat_map(|host| &host.projects).filter(is_shown).count()
}

#[cfg(test)]
mod tests {
    use crate::outcome::{HostOutcome, ProjectResult};
    use crate::report::samples::{self, json};

    #[test]
    fn the_form_of_an_outcome() {
        let mut host = samples::failing(ProjectResult::RolledBack);
        host.projects.truncate(1);
        let hosts = vec![host, samples::unreachable()];
        insta::assert_snapshot!(json(&samples::outcome_of(hosts)), @r#"
        {
          "version": 2,
          "commit": "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
          "dirty": false,
          "hosts": [
            {
              "name": "web",
              "release": 42,
              "changed": true,
              "notes": [],
              "projects": [
                {
                  "name": "blog",
                  "path": "services/blog",
                  "change": "changed",
                  "files": [
                    {
                      "path": "services/blog/compose.yml",
                      "change": "modified"
                    },
                    {
                      "path": "services/blog/nginx.conf",
                      "change": "modified"
                    }
                  ],
                  "actions": [
                    {
                      "kind": "up",
                      "service": "worker",
                      "reasons": [
                        {
                          "path": "services/blog/compose.yml",
                          "line": 22,
                          "cause": "definition"
                        }
                      ],
                      "result": "skipped"
                    },
                    {
                      "kind": "restart",
                      "service": "web",
                      "reasons": [
                        {
                          "path": "services/blog/nginx.conf",
                          "line": null,
                          "how": "bind",
                          "by": {
                            "path": "services/blog/compose.yml",
                            "line": 14,
                            "column": 9
                          },
                          "cause": "file"
                        }
                      ],
                      "result": "failed"
                    }
                  ],
                  "result": "rolled_back",
                  "problems": [
                    {
                      "severity": "error",
                      "message": "service `web` exited with code 1 within 5 s",
                      "at": {
                        "path": "services/blog/compose.yml",
                        "line": 12,
                        "column": 3
                      },
                      "help": "look at its last lines below"
                    }
                  ],
                  "logs": [
                    {
                      "service": "web",
                      "lines": [
                        "nginx: [emerg] unknown directive \"sever\" in /etc/nginx/nginx.conf:3",
                        "::error::pwned"
                      ]
                    }
                  ]
                }
              ]
            },
            {
              "name": "db",
              "release": null,
              "changed": false,
              "notes": [],
              "projects": [],
              "failure": {
                "diagnostics": [
                  {
                    "severity": "error",
                    "message": "failed to connect to db: connection refused",
                    "at": null,
                    "help": "run ghdeploy doctor --host db"
                  }
                ],
                "state": "unchanged"
              }
            }
          ]
        }
        "#);
    }

    #[test]
    fn the_form_of_hooks_has_no_command() {
        let host = HostOutcome { projects: vec![samples::badly_migrated()], ..samples::successful() };
        let text = json(&samples::outcome_of(vec![host]));
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        let hooks = &read["hosts"][0]["projects"][0]["hooks"];
        assert_eq!(
            hooks.to_string(),
            r#"[{"kind":"run","result":"done","service":"web","when":"before"},{"kind":"exec","result":"failed","service":"web","when":"after"}]"#
        );
    }
}
