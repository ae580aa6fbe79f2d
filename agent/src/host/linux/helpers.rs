//! Helpers, from the agent's side: each has a deadline and is killed when it is over. One that the
//! kernel cannot end is left alone, and nothing new is asked of the storage that it hangs on until
//! it is gone: there is at most one such process for each.

use std::{
    collections::BTreeMap,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use berth_core::waiting::Reason;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    time::{Instant, timeout, timeout_at},
};

use super::step_failed;
use crate::host::storage::helper::{ARGUMENT, HelperLine, HelperRequest};

/// How long a helper that was killed may take to be gone: one that does not hang is gone at once.
const DYING: Duration = Duration::from_secs(2);
/// Where the programs are that a helper may need.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A volume that a helper works on.
#[derive(Debug, Clone)]
pub(super) struct About {
    /// Its name in the member.
    pub(super) volume: String,
    /// Where its data is.
    pub(super) source: String,
    /// What is asked, for people.
    pub(super) step: &'static str,
}

impl About {
    fn hung(&self, why: &str) -> Reason {
        Reason::VolumeHung {
            volume: self.volume.clone(),
            source: self.source.clone(),
            step: format!("{}: {why}", self.step),
        }
    }
}

/// The helpers that the kernel could not end, by what they hang on.
#[derive(Debug, Default, Clone)]
pub(super) struct Stuck(Arc<Mutex<BTreeMap<String, u32>>>);

impl Stuck {
    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<String, u32>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Refuses to ask storage that an earlier helper hangs on.
    fn check(&self, about: &[About]) -> Result<(), Reason> {
        self.with(|stuck| {
            for one in about {
                if let Some(pid) = stuck.get(&one.source) {
                    let all = stuck.len();
                    let why = format!("helper {pid} cannot be ended; {all} such on this host");
                    return Err(one.hung(&why));
                }
            }
            Ok(())
        })
    }

    /// Leaves a helper alone until it is gone by itself.
    fn leave(&self, mut child: Child, sources: Vec<String>) {
        let pid = child.id().unwrap_or(0);
        tracing::error!(
            pid,
            ?sources,
            "a helper cannot be killed; its storage hangs"
        );
        self.with(|stuck| stuck.extend(sources.iter().map(|source| (source.clone(), pid))));
        let all = self.clone();
        tokio::spawn(async move {
            // However it ends, it is gone then.
            drop(child.wait().await);
            tracing::info!(pid, "the helper that could not be killed is gone");
            all.with(|stuck| stuck.retain(|_, left| *left != pid));
        });
    }
}

/// Asks a helper, and gives back what it said before its last word.
///
/// # Errors
/// What the helper said; `VolumeHung` if it did not end in time.
pub(super) async fn ask(
    program: &Path,
    stuck: &Stuck,
    about: &[About],
    request: &HelperRequest,
    limit: Duration,
) -> Result<Vec<HelperLine>, Reason> {
    let (child, text) = begin(program, stuck, about, request, Stdio::inherit())?;
    finish(child, stuck, about, (&text, limit)).await
}

/// Starts a helper that was told nothing yet; with what it is to be told.
///
/// # Errors
/// `VolumeHung` if an earlier one hangs on the same storage.
pub(super) fn begin(
    program: &Path,
    stuck: &Stuck,
    about: &[About],
    request: &HelperRequest,
    errors: Stdio,
) -> Result<(Child, Vec<u8>), Reason> {
    stuck.check(about)?;
    let mut text = serde_json::to_vec(request).map_err(|e| step_failed("encode a request", e))?;
    text.push(b'\n');
    let child = Command::new(program)
        .arg(ARGUMENT)
        .arg(std::process::id().to_string())
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| step_failed("spawn a helper", e))?;
    Ok((child, text))
}

/// Tells a helper the last that it is told, and gives back what it said before its last word.
///
/// # Errors
/// What the helper said; `VolumeHung` if it did not end in time.
pub(super) async fn finish(
    mut child: Child,
    stuck: &Stuck,
    about: &[About],
    (text, limit): (&[u8], Duration),
) -> Result<Vec<HelperLine>, Reason> {
    let deadline = Instant::now() + limit;
    let mut lines = Vec::new();
    let talked = timeout_at(deadline, talk(&mut child, text, &mut lines)).await;
    // What it mounted ends with it.
    let ended = timeout_at(deadline, child.wait()).await;
    if talked.is_err() || ended.is_err() {
        drop(child.start_kill());
        if timeout(DYING, child.wait()).await.is_err() {
            stuck.leave(child, about.iter().map(|one| one.source.clone()).collect());
        }
        return Err(overdue(about, &lines, limit));
    }
    match lines.pop() {
        Some(HelperLine::Done) => Ok(lines),
        Some(HelperLine::Failed(reason)) => Err(reason),
        last => Err(step_failed(
            "ask a helper",
            format!("it ended early ({ended:?}), and said {last:?} last"),
        )),
    }
}

async fn talk(child: &mut Child, text: &[u8], lines: &mut Vec<HelperLine>) {
    if let Some(mut stdin) = child.stdin.take() {
        // One that died early is found out by its silence.
        drop(stdin.write_all(text).await);
    }
    let Some(stdout) = child.stdout.take() else {
        return;
    };
    let mut output = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = output.next_line().await {
        match serde_json::from_str(&line) {
            Ok(line) => lines.push(line),
            Err(error) => tracing::error!(%error, line, "a helper is not understood"),
        }
    }
}

/// The volume that a helper was at when its time was over.
fn overdue(about: &[About], lines: &[HelperLine], limit: Duration) -> Reason {
    let mut at = lines.iter().rev().filter_map(|line| match line {
        HelperLine::At { volume } => Some(volume),
        HelperLine::Prepared(_)
        | HelperLine::Pool(_)
        | HelperLine::Fact(_)
        | HelperLine::Health(_)
        | HelperLine::Weight(_)
        | HelperLine::Failed(_)
        | HelperLine::Done => None,
    });
    let volume = at.next();
    let named = about.iter().find(|one| Some(&one.volume) == volume);
    match named.or_else(|| about.first()) {
        Some(one) => one.hung(&format!("no answer in {} s", limit.as_secs())),
        None => step_failed("ask a helper", "no answer in time"),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    /// A program that stands for a helper.
    fn program(dir: &Path, script: &str) -> std::path::PathBuf {
        let path = dir.join("helper");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn about(volume: &str) -> About {
        About {
            volume: volume.to_owned(),
            source: format!("nfs:nas:/{volume}"),
            step: "make it ready",
        }
    }

    fn request() -> HelperRequest {
        HelperRequest::Look {
            path: "/".into(),
            shared: true,
        }
    }

    async fn ask_for(program: &Path, stuck: &Stuck, about: &[About]) -> Result<usize, Reason> {
        let limit = Duration::from_millis(300);
        let lines = ask(program, stuck, about, &request(), limit).await;
        lines.map(|lines| lines.len())
    }

    #[tokio::test]
    async fn a_helper_that_hangs_is_killed_and_its_volume_named() {
        let dir = tempfile::tempdir().unwrap();
        let at = r#"{"at":{"volume":"b"}}"#;
        let pid = dir.path().join("pid");
        let script = format!(
            "echo $$ > {}; echo '{at}'; exec tail -f /dev/null",
            pid.display()
        );
        let program = program(dir.path(), &script);
        let stuck = Stuck::default();
        let error = ask_for(&program, &stuck, &[about("a"), about("b")]).await;
        let Err(Reason::VolumeHung { volume, step, .. }) = error else {
            panic!("{error:?}");
        };
        assert_eq!(volume, "b");
        assert!(step.starts_with("make it ready: no answer"), "{step}");
        let pid = fs::read_to_string(pid).unwrap();
        assert!(
            !Path::new("/proc").join(pid.trim()).exists(),
            "it is killed and gone"
        );
        assert!(stuck.with(|stuck| stuck.is_empty()));
    }

    #[tokio::test]
    async fn storage_that_an_immortal_helper_hangs_on_is_not_asked_again() {
        let dir = tempfile::tempdir().unwrap();
        let program = program(dir.path(), r#"cat > /dev/null; echo '"done"'"#);
        let stuck = Stuck::default();
        // It lives as long as its input is open: no signal of ours ends it.
        let mut left = Command::new("/bin/cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let open = left.stdin.take();
        let pid = left.id().unwrap();
        stuck.leave(left, vec![about("a").source]);
        let error = ask_for(&program, &stuck, &[about("b"), about("a")])
            .await
            .unwrap_err();
        let told = error.to_string();
        assert!(
            told.contains(&format!("helper {pid} cannot be ended")),
            "{told}"
        );
        ask_for(&program, &stuck, &[about("b")]).await.unwrap();
        drop(open);
        let gone = async {
            while ask_for(&program, &stuck, &[about("a")]).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), gone).await.unwrap();
    }

    #[tokio::test]
    async fn a_helper_that_dies_is_an_error_and_what_it_says_is_passed_on() {
        let dir = tempfile::tempdir().unwrap();
        let stuck = Stuck::default();
        let dies = program(dir.path(), "kill -9 $$");
        let error = ask_for(&dies, &stuck, &[about("a")]).await.unwrap_err();
        assert!(error.to_string().contains("ended early"), "{error}");
        let says = r#"echo '{"failed":{"reason":"PoolMissing","pool":"x"}}'"#;
        let says = program(dir.path(), says);
        let error = ask_for(&says, &stuck, &[about("a")]).await.unwrap_err();
        assert!(error.to_string().contains('x'), "{error}");
    }
}
