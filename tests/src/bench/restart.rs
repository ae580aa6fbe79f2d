//! From SIGKILL of a process to the `main` of the next one. Each process is killed once, and not
//! before it has run for a second: the second restart in a row waits on purpose, and so does the
//! first of a process that hardly ran.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    Figure, Goal, Value,
    bed::Bed,
    limits,
    marks::{Marks, now},
    process,
    samples::Samples,
};
use crate::machine;

/// Processes that are killed.
const MEMBERS: u32 = 40;
/// Services that runit restarts.
const SERVICES: u32 = 20;
/// runit and Berth restart at once only what lived for a second.
const LIVED: Duration = Duration::from_millis(1200);
/// Starts that make up the limit.
const SPAWNS: usize = 200;

/// The figures.
///
/// # Errors
/// If a process does not come back.
pub async fn run(bed: &mut Bed) -> anyhow::Result<Vec<Figure>> {
    let name = "restart";
    let marks = bed.start_set(name, MEMBERS, "Parallel").await?;
    live(&bed.marks)?;
    let mut ours = Samples::default();
    for mark in &marks {
        ours.push(kill(&mut bed.marks, &mark.name)?);
    }
    bed.remove_set(name).await?;
    let spawn = Value::Times(limits::spawns(&bed.marks.payload(), "exit", SPAWNS)?);
    let ours = Value::Times(ours);
    let goal = Goal::AtMost(2.0);
    let peer = runit(&mut bed.marks)?;
    Ok(vec![
        Figure::new("restart after SIGKILL", ours.clone(), ("spawn", spawn)).goal(goal),
        Figure::new("restart after SIGKILL", ours, ("runsv", peer)),
    ])
}

/// Kills the payload of that name, and waits for its next `main`.
fn kill(marks: &mut Marks, name: &str) -> io::Result<Duration> {
    let fifo = marks.fifo();
    let words = ["payload mark", &fifo.to_string_lossy(), name];
    let found: Vec<u32> = machine::processes_with(&words)
        .into_iter()
        .filter(|pid| is_exactly(*pid, name))
        .collect();
    let [pid] = found.as_slice() else {
        return Err(io::Error::other(format!("payload {name}: {found:?}")));
    };
    let start = now()?;
    machine::kill_9(*pid);
    let mark = marks.wait()?;
    if mark.name == name {
        Ok(mark.at - start)
    } else {
        Err(io::Error::other(format!(
            "{} started instead of {name}",
            mark.name
        )))
    }
}

/// Whether its last argument is the name, not only the beginning of it.
fn is_exactly(pid: u32, name: &str) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    line.trim_end_matches('\0').rsplit('\0').next() == Some(name)
}

/// Lets everything that runs live for long enough.
fn live(marks: &Marks) -> io::Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < LIVED {
        marks.idle(LIVED.saturating_sub(begun.elapsed()))?;
    }
    Ok(())
}

fn runit(marks: &mut Marks) -> io::Result<Value> {
    if !process::installed("runsv") {
        return Ok(Value::Missing("runsv is not installed".into()));
    }
    let services: io::Result<Vec<Service>> =
        (0..SERVICES).map(|i| Service::start(marks, i)).collect();
    let services = services?;
    for _ in &services {
        marks.wait()?;
    }
    live(marks)?;
    services
        .iter()
        .map(|service| kill(marks, &service.name))
        .collect::<io::Result<Samples>>()
        .map(Value::Times)
}

/// A service of runit; ends with its value.
struct Service {
    name: String,
    folder: PathBuf,
    supervisor: Child,
}

impl Service {
    fn start(marks: &Marks, number: u32) -> io::Result<Self> {
        let name = format!("runit-{number}");
        let folder = marks.folder().join(&name);
        fs::create_dir(&folder)?;
        let script = format!(
            "#!/bin/sh\nexec {} mark {} {name}\n",
            marks.payload().display(),
            marks.fifo().display()
        );
        executable(&folder.join("run"), &script)?;
        let supervisor = Command::new("runsv")
            .arg(&folder)
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self {
            name,
            folder,
            supervisor,
        })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // `x` to its control pipe: stop the service, then exit.
        fs::write(self.folder.join("supervise/control"), "x").ok();
        self.supervisor.wait().ok();
    }
}

fn executable(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}
