//! One representative plan as programs read it.

use ghdeploy::plan::{Plan, VERSION};

use crate::bench::{Projects, found, path};

fn repo() -> Projects {
    Projects::new(&[
        (
            "proxy/compose.yml",
            "services:\n  traefik:\n    image: traefik:v3\n    volumes: ['./dynamic:/dynamic']\n    networks: [web]\n    x-ghdeploy: {paths: {'dynamic/**': none}}\nnetworks:\n  web: {name: web}\n",
        ),
        ("proxy/dynamic/tls.yml", "tls: {}\n"),
        (
            "blog/compose.yml",
            "services:\n  web:\n    image: nginx:1\n    env_file: [../shared/tz.env]\n    volumes: ['./nginx.conf:/etc/nginx/nginx.conf']\n    networks: [web]\n  old: {image: x}\nnetworks:\n  web: {external: true}\n",
        ),
        ("blog/nginx.conf", "events {}\n"),
        ("blog/README.md", "hello\n"),
        ("gone/compose.yml", "services:\n  web: {image: a}\n"),
        ("shared/tz.env", "TZ=UTC\n"),
    ])
}

#[test]
fn a_plan_in_json() {
    let repo = repo();
    let mut host = repo.deployed();
    host.found.insert(path("blog/README.md"), found("changed there\n"));
    repo.remove("gone")
        .write("proxy/dynamic/tls.yml", "tls: {a: 1}\n")
        .write("shared/tz.env", "TZ=Europe/Berlin\n")
        .write("blog/nginx.conf", "events { }\n")
        .write("blog/compose.yml", "services:\n  web:\n    image: nginx:1\n    env_file: [../shared/tz.env]\n    volumes: ['./nginx.conf:/etc/nginx/nginx.conf']\n    networks: [web]\nnetworks:\n  web: {external: true}\n")
        .write("shop/compose.yml", "services:\n  api: {build: .}\n");
    let plan = Plan {
        version: VERSION,
        commit: Some("c0ffee".to_owned()),
        dirty: false,
        base: None,
        hosts: vec![repo.plan(&host).plan()],
    };
    insta::assert_snapshot!(serde_json::to_string_pretty(&plan).unwrap(), @r#"
    {
      "version": 2,
      "commit": "c0ffee",
      "dirty": false,
      "hosts": [
        {
          "name": "web",
          "notes": [
            {
              "severity": "warning",
              "message": "1 file was changed on the host since it was deployed",
              "at": null,
              "help": "the host's version is kept in .ghdeploy/objects when it is replaced"
            },
            {
              "severity": "warning",
              "message": "services/gone is no longer in the repository and stays as it is on the host",
              "at": null,
              "help": "--prune takes it down: its managed files go, its volumes and all other files stay"
            }
          ],
          "projects": [
            {
              "name": "proxy",
              "path": "services/proxy",
              "change": "changed",
              "files": [
                {
                  "path": "services/proxy/dynamic/tls.yml",
                  "change": "modified"
                }
              ],
              "actions": [
                {
                  "kind": "none",
                  "service": "traefik",
                  "reasons": [
                    {
                      "path": "services/proxy/dynamic/tls.yml",
                      "line": null,
                      "how": "bind",
                      "by": {
                        "path": "services/proxy/compose.yml",
                        "line": 4,
                        "column": 15
                      },
                      "cause": "file"
                    }
                  ]
                }
              ]
            },
            {
              "name": "shop",
              "path": "services/shop",
              "change": "added",
              "images": [
                {
                  "service": "api",
                  "context": "services/shop",
                  "dockerfile": "services/shop/Dockerfile",
                  "target": null,
                  "image": null
                }
              ],
              "files": [
                {
                  "path": "services/shop/compose.yml",
                  "change": "added"
                }
              ],
              "actions": [
                {
                  "kind": "build",
                  "service": "api",
                  "reasons": [
                    {
                      "path": "services/shop/compose.yml",
                      "line": 2,
                      "cause": "new",
                      "what": "project"
                    }
                  ]
                },
                {
                  "kind": "up",
                  "service": "api",
                  "reasons": [
                    {
                      "path": "services/shop/compose.yml",
                      "line": 2,
                      "cause": "new",
                      "what": "project"
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
                  "path": "services/blog/README.md",
                  "change": "drift"
                },
                {
                  "path": "services/blog/compose.yml",
                  "change": "modified"
                },
                {
                  "path": "services/blog/nginx.conf",
                  "change": "modified"
                },
                {
                  "path": "services/shared/tz.env",
                  "change": "modified"
                }
              ],
              "actions": [
                {
                  "kind": "up",
                  "service": "web",
                  "reasons": [
                    {
                      "path": "services/blog/compose.yml",
                      "line": 2,
                      "cause": "definition"
                    },
                    {
                      "path": "services/shared/tz.env",
                      "line": null,
                      "how": "env_file",
                      "by": {
                        "path": "services/blog/compose.yml",
                        "line": 4,
                        "column": 16
                      },
                      "cause": "file"
                    }
                  ]
                },
                {
                  "kind": "remove",
                  "service": "old",
                  "reasons": [
                    {
                      "path": "services/blog/compose.yml",
                      "line": null,
                      "cause": "definition",
                      "change": "service_removed"
                    }
                  ]
                }
              ]
            },
            {
              "name": "gone",
              "path": "services/gone",
              "change": "removed",
              "files": [],
              "actions": []
            }
          ]
        }
      ]
    }
    "#);
}
