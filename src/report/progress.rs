//! Progress of a run: spinners on a terminal, plain lines in a log.
//!
//! Owns the observers that write to stderr; stdout carries results only. A failing stderr fails nothing: a
//! deploy continues when its terminal is gone.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::outcome::ProjectResult;
use crate::outcome::event::{Event, Observer, Silent};

use super::escape::name;
use super::style::{Ink, Style};
use super::wording::{count, project_result};

/// Form in which progress is shown. The caller decides, because only the caller knows the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// Nothing.
    Quiet,
    /// One line per event, for logs.
    #[default]
    Lines,
    /// One spinner per project, for a terminal.
    Live,
}

/// Creates the observer of a run on `hosts` hosts. It writes to stderr.
#[must_use]
pub fn observer(progress: Progress, hosts: usize, style: Style) -> Box<dyn Observer> {
    match progress {
        Progress::Quiet => Box::new(Silent),
        Progress::Lines => Box::new(Lines::new(io::stderr(), hosts, style)),
        Progress::Live => Box::new(Live::new(ProgressDrawTarget::stderr(), hosts, style)),
    }
}

/// Observer that writes one line per event.
#[derive(Debug)]
pub struct Lines<W> {
    out: Mutex<W>,
    wording: Wording,
}

impl<W: Write + Send> Lines<W> {
    /// Shows a run on `hosts` hosts on `out`.
    #[must_use]
    pub fn new(out: W, hosts: usize, style: Style) -> Self {
        Self { out: Mutex::new(out), wording: Wording { hosts, style } }
    }
}

impl<W: Write + Send> Observer for Lines<W> {
    fn on(&self, event: Event) {
        if let Some(line) = self.wording.line(&event) {
            let mut out = held(&self.out);
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        }
    }
}

/// Observer that shows a spinner per host and project at work, and a line per project that is done.
#[derive(Debug)]
pub struct Live {
    bars: MultiProgress,
    shown: Mutex<HashMap<SpinnerKey, Spinner>>,
    wording: Wording,
}

/// Host of a spinner, and its project if it has one.
type SpinnerKey = (String, Option<String>);

/// Spinner. That of a host counts the projects that are done.
#[derive(Debug)]
struct Spinner {
    bar: ProgressBar,
    done: usize,
    all: usize,
}

impl Spinner {
    fn count(&self) {
        self.bar.set_message(format!("{} of {}", self.done, count(self.all, "project")));
    }
}

impl Live {
    /// Shows a run on `hosts` hosts on `target`.
    #[must_use]
    pub fn new(target: ProgressDrawTarget, hosts: usize, style: Style) -> Self {
        let bars = MultiProgress::with_draw_target(target);
        Self { bars, shown: Mutex::default(), wording: Wording { hosts, style } }
    }

    /// Sets the message of a spinner, which is created if it does not exist.
    fn say(&self, key: SpinnerKey, message: String) {
        let mut shown = held(&self.shown);
        let spinner = shown.entry(key).or_insert_with_key(|(host, project)| {
            let label = self.wording.label(host, project.as_deref());
            let bar = self.bars.add(ProgressBar::new_spinner().with_style(style()).with_prefix(label));
            // Ten frames per second look like movement and cost nothing.
            bar.enable_steady_tick(Duration::from_millis(100));
            Spinner { bar, done: 0, all: 0 }
        });
        spinner.bar.set_message(message);
    }

    fn end(&self, key: &SpinnerKey) {
        if let Some(spinner) = held(&self.shown).remove(key) {
            spinner.bar.finish_and_clear();
            self.bars.remove(&spinner.bar);
        }
    }

    /// Removes the spinners of a host.
    fn end_all(&self, host: &str) {
        let keys: Vec<SpinnerKey> =
            held(&self.shown).keys().filter(|(own, _)| own == host).cloned().collect();
        keys.iter().for_each(|key| self.end(key));
    }

    /// Counts the projects of a host from now on. Those that cannot be deployed do not count.
    fn plan(&self, host: &str, projects: usize) {
        if let Some(spinner) = held(&self.shown).get_mut(&(host.to_owned(), None)) {
            (spinner.done, spinner.all) = (0, projects);
            spinner.count();
        }
    }

    /// Counts a project of a host that is done.
    fn advance(&self, host: &str) {
        if let Some(spinner) = held(&self.shown).get_mut(&(host.to_owned(), None))
            && spinner.all > 0
        {
            spinner.done += 1;
            spinner.count();
        }
    }

    fn print(&self, event: &Event) {
        if let Some(line) = self.wording.line(event) {
            let _ = self.bars.println(line);
        }
    }
}

impl Observer for Live {
    fn on(&self, event: Event) {
        match &event {
            Event::Started { host } => self.say((host.clone(), None), "connecting".to_owned()),
            Event::Connected { host } => {
                self.say((host.clone(), None), "reading what is deployed".to_owned());
            }
            Event::Waiting { host, holder } => {
                self.say((host.clone(), None), format!("waiting for the lock, held by {}", name(holder)));
            }
            Event::Planned { host, projects, .. } => self.plan(host, projects.len()),
            Event::Step { host, project, step } => {
                self.say((host.clone(), Some(project.clone())), name(step).into_owned());
            }
            Event::Finished { host, project, .. } => {
                self.end(&(host.clone(), Some(project.clone())));
                self.print(&event);
                self.advance(host);
            }
            Event::Note { .. } | Event::Stopping { .. } => self.print(&event),
            Event::Done { host } => self.end_all(host),
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.bars.clear();
    }
}

/// Wording of progress.
#[derive(Debug, Clone, Copy)]
struct Wording {
    hosts: usize,
    style: Style,
}

impl Wording {
    /// Formats the line for an event; `None` if it has none.
    fn line(self, event: &Event) -> Option<String> {
        let (label, text) = match event {
            Event::Started { host } => (self.label(host, None), "connecting".to_owned()),
            Event::Connected { host } => (self.label(host, None), "connected".to_owned()),
            Event::Waiting { host, holder } => {
                (self.label(host, None), format!("waiting for the lock, held by {}", name(holder)))
            }
            Event::Planned { host, projects, .. } if projects.is_empty() => {
                (self.label(host, None), "nothing to do".to_owned())
            }
            Event::Planned { host, projects, .. } => {
                let names = projects.iter().map(|project| name(project)).collect::<Vec<_>>().join(", ");
                (self.label(host, None), format!("{} to do: {names}", count(projects.len(), "project")))
            }
            Event::Step { host, project, step } => {
                (self.label(host, Some(project)), format!("{} …", name(step)))
            }
            Event::Finished { host, project, result, why } => {
                let ink = match result {
                    ProjectResult::Done | ProjectResult::Unchanged => Ink::Good,
                    ProjectResult::NothingChanged
                    | ProjectResult::RolledBack
                    | ProjectResult::Interrupted
                    | ProjectResult::Unknown => Ink::Bad,
                };
                let why = why.as_deref().and_then(|why| why.lines().next());
                let why = why.map(|why| format!(": {}", name(why))).unwrap_or_default();
                let result = self.style.ink(ink, project_result(*result));
                (self.label(host, Some(project)), format!("{result}{why}"))
            }
            Event::Note { host, text } => (self.label(host, None), name(text).into_owned()),
            Event::Stopping { text } => ("stopping".to_owned(), name(text).into_owned()),
            Event::Done { .. } => return None,
        };
        Some(format!("{label}: {text}"))
    }

    /// Names the subject of an event: `host web`, `blog`, or `web/blog` if there are several hosts.
    fn label(self, host: &str, project: Option<&str>) -> String {
        match project {
            Some(project) if self.hosts > 1 => format!("{}/{}", name(host), name(project)),
            Some(project) => name(project).into_owned(),
            None => format!("host {}", name(host)),
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {prefix}: {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// Locks a mutex even after a panic elsewhere: no state of progress can be left half done.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<Event> {
        let (host, blog) = (|| "web".to_owned(), || "blog".to_owned());
        vec![
            Event::Started { host: host() },
            Event::Waiting { host: host(), holder: "alice, run 17\n::stop-commands::x".to_owned() },
            Event::Connected { host: host() },
            Event::Planned { host: host(), projects: vec![blog(), "shop".to_owned()], commit: None },
            Event::Step { host: host(), project: blog(), step: "pull images".to_owned() },
            Event::Step { host: host(), project: blog(), step: "restart web".to_owned() },
            Event::Finished { host: host(), project: blog(), result: ProjectResult::Done, why: None },
            Event::Note { host: host(), text: "a leftover container was removed".to_owned() },
            Event::Finished {
                host: host(),
                project: ":".to_owned(),
                result: ProjectResult::RolledBack,
                why: Some("`web` is unhealthy".to_owned()),
            },
            Event::Done { host: host() },
        ]
    }

    fn lines_of(hosts: usize) -> String {
        let lines = Lines::new(Vec::new(), hosts, Style::default());
        events().into_iter().for_each(|event| lines.on(event));
        String::from_utf8(lines.out.into_inner().unwrap()).unwrap()
    }

    #[test]
    fn a_log_gets_one_line_per_event() {
        insta::assert_snapshot!(lines_of(1), @r"
        host web: connecting
        host web: waiting for the lock, held by alice, run 17\n::stop-commands::x
        host web: connected
        host web: 2 projects to do: blog, shop
        blog: pull images …
        blog: restart web …
        blog: done
        host web: a leftover container was removed
        \u{3a}: failed, rolled back: `web` is unhealthy
        ");
    }

    #[test]
    fn with_several_hosts_every_line_names_its_host() {
        insta::assert_snapshot!(lines_of(2), @r"
        host web: connecting
        host web: waiting for the lock, held by alice, run 17\n::stop-commands::x
        host web: connected
        host web: 2 projects to do: blog, shop
        web/blog: pull images …
        web/blog: restart web …
        web/blog: done
        host web: a leftover container was removed
        web/\u{3a}: failed, rolled back: `web` is unhealthy
        ");
    }

    #[test]
    fn a_broken_stderr_stops_nothing() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let lines = Lines::new(Broken, 1, Style::default());
        events().into_iter().for_each(|event| lines.on(event));
    }

    #[test]
    fn no_spinner_outlives_its_work() {
        let live = Live::new(ProgressDrawTarget::hidden(), 1, Style::default());
        for event in events() {
            live.on(event);
        }
        assert!(held(&live.shown).is_empty());
    }

    #[test]
    fn no_spinner_outlives_its_host() {
        let live = Live::new(ProgressDrawTarget::hidden(), 1, Style::default());
        let (host, blog) = (|| "web".to_owned(), || "blog".to_owned());
        live.on(Event::Started { host: host() });
        live.on(Event::Step { host: host(), project: blog(), step: "pull images".to_owned() });
        // The connection is lost: no event ends the project.
        live.on(Event::Done { host: host() });
        assert!(held(&live.shown).is_empty());
    }
}
