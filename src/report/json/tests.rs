//! The JSON forms, whole: whoever changes one sees here what readers of version 1 will see.

use super::*;
use crate::outcome::{HostOutcome, ProjectResult};
use crate::report::samples::{self, text_of};

#[test]
fn the_form_of_a_plan() {
    let mut host = samples::usual();
    host.projects.truncate(2);
    host.projects.push(samples::conflict());
    host.projects.push(samples::unchanged("mail"));
    insta::assert_snapshot!(text_of(|w| plan(w, &samples::plan_of(vec![host]))), @r#"
    {
      "version": 2,
      "commit": "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
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
fn the_form_of_an_outcome() {
    let mut host = samples::failing(ProjectResult::RolledBack);
    host.projects.truncate(1);
    let hosts = vec![host, samples::unreachable()];
    insta::assert_snapshot!(text_of(|w| outcome(w, &samples::outcome_of(hosts))), @r#"
    {
      "version": 2,
      "commit": "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
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
fn the_form_of_explanations() {
    let mut paths = samples::explanations();
    paths.truncate(2);
    insta::assert_snapshot!(text_of(|w| explanations(w, &paths)), @r#"
    {
      "version": 1,
      "paths": [
        {
          "path": "services/blog/nginx.conf",
          "known": true,
          "managed": true,
          "readers": [
            {
              "project": "blog",
              "service": "web",
              "how": "bind",
              "at": {
                "path": "services/blog/compose.yml",
                "line": 14,
                "column": 9
              },
              "kind": "restart"
            },
            {
              "project": "blog",
              "service": "worker",
              "how": "env_file",
              "at": {
                "path": "services/blog/compose.yml",
                "line": 103,
                "column": 9
              },
              "kind": "signal",
              "signal": "SIGHUP",
              "detail": "if DATA_DIR is ./data"
            }
          ]
        },
        {
          "path": "services/blog/README.md",
          "known": true,
          "managed": false,
          "readers": []
        }
      ]
    }
    "#);
}

#[test]
fn the_form_of_a_status() {
    insta::assert_snapshot!(text_of(|w| status(w, &samples::status())), @r#"
    {
      "version": 1,
      "hosts": [
        {
          "name": "web",
          "release": 42,
          "commit": "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
          "deployed_at": "2025-06-01T02:03:00Z",
          "projects": [
            {
              "name": "blog",
              "path": "blog",
              "release": 42,
              "commit": "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d",
              "left": 40,
              "drift": [
                "blog/nginx.conf"
              ],
              "owed": [
                {
                  "service": "web",
                  "kind": "restart"
                }
              ],
              "containers": [
                {
                  "service": "web",
                  "name": "blog-web-1",
                  "state": "running",
                  "health": "healthy",
                  "since": "2025-06-01T02:03:04Z",
                  "image": "ghcr.io/owner/blog:latest"
                },
                {
                  "service": "worker",
                  "name": "blog-worker-1",
                  "state": "exited",
                  "health": null,
                  "since": "2025-06-01T02:03:04Z",
                  "image": "ghcr.io/owner/blog:latest"
                }
              ]
            }
          ]
        },
        {
          "name": "db",
          "release": null,
          "commit": null,
          "deployed_at": null,
          "projects": [],
          "problems": [
            {
              "severity": "error",
              "message": "failed to connect to db: connection refused",
              "at": null,
              "help": null
            }
          ]
        }
      ]
    }
    "#);
}

#[test]
fn the_form_of_a_checkup_and_a_check() {
    insta::assert_snapshot!(text_of(|w| checkup(w, &samples::checkup())), @r#"
    {
      "version": 1,
      "hosts": [
        {
          "name": "web",
          "steps": [
            {
              "what": "ssh",
              "result": "ok",
              "detail": "deploy@203.0.113.10"
            },
            {
              "what": "docker compose",
              "result": "failed",
              "detail": "not found",
              "help": "apt-get install docker-compose-v2\nthen try again"
            },
            {
              "what": "disk",
              "result": "warning",
              "detail": "3 GB left | 97 % used"
            }
          ]
        }
      ]
    }
    "#);
    insta::assert_snapshot!(text_of(|w| check(w, &samples::check())), @r#"
    {
      "version": 1,
      "projects": 24,
      "services": 60,
      "diagnostics": [
        {
          "severity": "error",
          "message": "service `web` mounts a file that is not in the repository",
          "at": {
            "path": "services/shop/compose.yml",
            "line": 4,
            "column": 9
          },
          "help": "add services/shop/nginx.conf"
        },
        {
          "severity": "warning",
          "message": "image `nginx` has no tag",
          "at": {
            "path": "services/shop/compose.yml",
            "line": 2,
            "column": 12
          },
          "help": null
        }
      ]
    }
    "#);
}

#[test]
fn hostile_names_survive_and_do_nothing() {
    let hostile = samples::hostile();
    let text = text_of(|w| plan(w, &hostile));
    assert!(text.chars().all(|c| c == '\n' || !is_unseen(c)), "{text}");
    assert!(!text.contains("##["), "{text}");
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read, serde_json::to_value(&hostile).unwrap());
}

#[test]
fn the_form_of_hooks_has_no_command() {
    let host = samples::host("web", vec![samples::migrating()]);
    let text = text_of(|w| plan(w, &samples::plan_of(vec![host])));
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    let hooks = &read["hosts"][0]["projects"][0]["hooks"];
    assert_eq!(
        hooks.to_string(),
        r#"[{"kind":"run","service":"web","when":"before"},{"kind":"exec","service":"web","when":"after"}]"#
    );
    let host = HostOutcome { projects: vec![samples::badly_migrated()], ..samples::well() };
    let text = text_of(|w| outcome(w, &samples::outcome_of(vec![host])));
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    let hooks = &read["hosts"][0]["projects"][0]["hooks"];
    assert_eq!(
        hooks.to_string(),
        r#"[{"kind":"run","result":"done","service":"web","when":"before"},{"kind":"exec","result":"failed","service":"web","when":"after"}]"#
    );
}
