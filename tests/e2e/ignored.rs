//! The files of a build context: the answer of `explain` against what BuildKit packs.

use std::collections::BTreeSet;
use std::process::Command;

use crate::bed::Bed;
use crate::support::program;

/// Files of the context.
const FILES: &[&str] = &[
    "a.md",
    "README.md",
    "Makefile",
    "a b.txt",
    "{x}",
    "docs/a.md",
    "docs/keep/b.md",
    "docs/keep/deep/c.md",
    "node_modules/x",
    "web/node_modules/y",
    "src/a.c",
    "src/a.o",
    "src/deep/er/b.o",
    "-dash",
    "ünï",
    ".env",
    ".git/config",
];

/// Contents of `.dockerignore`.
const PATTERNS: &[&str] = &[
    "# nothing\n\n",
    "*.md",
    "*.md\n!README.md",
    "!README.md\n*.md",
    "*\n!src\n!Makefile",
    "*\n!src\n**/*.o",
    "**/*.o\n!src",
    "docs\n!docs/keep/deep",
    "/docs/\n/src/deep/",
    "**/node_modules\n.git",
    "node_modules",
    "src/**/*.o",
    "**",
    "**/*.md\n!docs/**/c.md",
    "a?b.txt\n{x}\n-dash\n./src/../ünï\n[m-n]ode_modules",
    "  docs/keep  \n.*",
    "*/deep",
    "src/[^b].c\nsrc/\\a.o",
];

#[test]
fn a_build_sees_the_files_that_explain_lists() {
    let bed = Bed::new("ignored");
    bed.write("services/app/compose.yml", "services: {app: {build: .}}");
    bed.write("services/app/Dockerfile", "FROM scratch\nCOPY . /\n");
    for file in FILES {
        bed.write(&format!("services/app/{file}"), "x");
    }
    let context = bed.repo("services/app");
    for patterns in PATTERNS {
        bed.write("services/app/.dockerignore", patterns);
        let archive = bed.path("context.tar");
        let mut build = Command::new("docker");
        build
            .args(["buildx", "build", "--quiet", "--output"])
            .arg(format!("type=tar,dest={}", archive.display()));
        let built = build.arg(&context).output().unwrap();
        let errors = String::from_utf8_lossy(&built.stderr);
        // An empty context is no error.
        let packed: BTreeSet<String> = match built.status.success() {
            true => {
                let mut tar = tar::Archive::new(std::fs::File::open(&archive).unwrap());
                let paths = tar.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned());
                paths.filter_map(|path| path.to_str().map(str::to_owned)).collect()
            }
            false => panic!("{patterns:?}: {errors}"),
        };
        let paths: Vec<String> = FILES.iter().map(|file| format!("services/app/{file}")).collect();
        let mut explain = program::ghdeploy(&bed.repo(""), &bed.path("home"));
        explain.args(["--format", "json", "explain", "--"]).args(&paths);
        let answer = program::run(&mut explain).exits(0).json();
        for (file, answer) in FILES.iter().zip(answer["paths"].as_array().unwrap()) {
            let is_read = answer["readers"].as_array().unwrap().iter().any(|reader| reader["how"] == "build");
            assert_eq!(is_read, packed.contains(*file), "{patterns:?}: {file}");
        }
    }
}
