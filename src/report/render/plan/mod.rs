//! A plan: what would change and why, and the counts at the end.

mod markdown;
mod text;

pub(in crate::report) use markdown::{Details, plan_with};

use std::io::{self, Write};

use crate::plan::{HostPlan, Plan, ProjectPlan};
use crate::report::{Render, Style, json};

impl Render for Plan {
    fn text(&self, w: &mut dyn Write, style: Style) -> io::Result<()> {
        text::plan(w, self, style)
    }

    fn markdown(&self, w: &mut dyn Write) -> io::Result<()> {
        markdown::plan(w, self)
    }

    fn json(&self, w: &mut dyn Write) -> io::Result<()> {
        json::document(w, self)
    }
}

/// The projects of a host that have something to show, those that are blocked first.
fn blocked_first(host: &HostPlan) -> Vec<&ProjectPlan> {
    let mut shown: Vec<_> = host.projects.iter().filter(|project| !project.is_empty()).collect();
    shown.sort_by_key(|project| project.problems.is_empty());
    shown
}

/// Number of projects on all hosts that have something to show. Of a single one the end repeats nothing.
fn number_shown(hosts: &[HostPlan]) -> usize {
    hosts.iter().flat_map(|host| &host.projects).filter(|project| !project.is_empty()).count()
}

#[cfg(test)]
mod tests {
    use crate::report::escape::is_unseen;
    use crate::report::samples::{self, json};

    #[test]
    fn the_form_of_a_plan() {
        let mut host = samples::usual();
        host.projects.truncate(2);
        host.projects.push(samples::conflict());
        host.projects.push(samples::unchanged("mail"));
        insta::assert_snapshot!(json(&samples::plan_of(vec![host])), @r#"
        {
          "version": 2,
          "commit": "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
          "dirty": false,
          "hosts": [
            {
              "name": "web",
              "notes": [
                {
                  "severity": "warning",
                  "message": "project `wiki` is no longer in the repository and still runs",
                  "at": null,
                  "help": "run ghdeploy sync --prune to take it down; its volumes are kept"
                }
              ],
              "projects": [
                {
                  "name": "traefik",
                  "path": "stacks/edge",
                  "change": "changed",
                  "files": [
                    {
                      "path": "services/traefik/traefik.yml",
                      "change": "drift"
                    },
                    {
                      "path": "services/traefik/entry.sh",
                      "change": "mode"
                    },
                    {
                      "path": "shared/tz.env",
                      "change": "modified"
                    }
                  ],
                  "actions": [
                    {
                      "kind": "signal",
                      "signal": "SIGHUP",
                      "service": "proxy",
                      "reasons": [
                        {
                          "path": "services/traefik/traefik.yml",
                          "line": null,
                          "how": "bind",
                          "by": {
                            "path": "services/traefik/compose.yml",
                            "line": 9,
                            "column": 9
                          },
                          "cause": "file"
                        },
                        {
                          "path": "services/traefik/entry.sh",
                          "line": null,
                          "how": "bind",
                          "by": {
                            "path": "services/traefik/compose.yml",
                            "line": 10,
                            "column": 9
                          },
                          "cause": "file"
                        }
                      ]
                    },
                    {
                      "kind": "exec",
                      "argv": [
                        "reload",
                        "-q"
                      ],
                      "service": "sidecar",
                      "reasons": [
                        {
                          "path": "shared/tz.env",
                          "line": null,
                          "how": "bind",
                          "by": {
                            "path": "shared/common.yml",
                            "line": 3,
                            "column": 5
                          },
                          "cause": "owed",
                          "release": 40
                        }
                      ]
                    },
                    {
                      "kind": "remove",
                      "service": "old",
                      "reasons": [
                        {
                          "path": "services/traefik/compose.yml",
                          "line": 1,
                          "cause": "definition"
                        }
                      ]
                    }
                  ]
                },
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
                      ]
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
                      ]
                    }
                  ]
                },
                {
                  "name": "grafana",
                  "path": "services/grafana",
                  "change": "changed",
                  "files": [
                    {
                      "path": "services/grafana/grafana.ini",
                      "change": "conflict"
                    }
                  ],
                  "actions": [],
                  "problems": [
                    {
                      "severity": "error",
                      "message": "an unmanaged file of other content is in the way",
                      "at": {
                        "path": "services/grafana/grafana.ini",
                        "line": 1,
                        "column": 1
                      },
                      "help": "run with --adopt if the repository wins; the host's version is kept"
                    }
                  ]
                },
                {
                  "name": "mail",
                  "path": "services/mail",
                  "change": "unchanged",
                  "files": [],
                  "actions": []
                }
              ]
            }
          ]
        }
        "#);
    }

    #[test]
    fn hostile_names_survive_and_do_nothing() {
        let hostile = samples::hostile();
        let text = json(&hostile);
        assert!(text.chars().all(|c| c == '\n' || !is_unseen(c)), "{text}");
        assert!(!text.contains("##["), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, serde_json::to_value(&hostile).unwrap());
    }

    #[test]
    fn the_form_of_hooks_has_no_command() {
        let host = samples::host("web", vec![samples::migrating()]);
        let text = json(&samples::plan_of(vec![host]));
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        let hooks = &read["hosts"][0]["projects"][0]["hooks"];
        assert_eq!(
            hooks.to_string(),
            r#"[{"kind":"run","service":"web","when":"before"},{"kind":"exec","service":"web","when":"after"}]"#
        );
    }
}
