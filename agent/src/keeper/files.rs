//! A process's files, written before each of its starts: beneath the member's configuration
//! directory, a volume, or its `/tmp`; nowhere else, because everything else is the host's. The text of
//! one that comes from a Secret is written to no disk: a link is put there, to where it is in memory.

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use berth_core::{rendered::RenderedFile, spec::FileWhen, waiting::Reason};

use super::{
    beneath::Beneath,
    secrets::{Secrets, relative},
    spec::Identity,
};
use crate::host::{path_failed, step_failed};

/// Where files may be written, and which of those that are written once were.
#[derive(Debug)]
pub(crate) struct Files {
    roots: Vec<PathBuf>,
    /// Where texts from Secrets are.
    secrets: Option<Secrets>,
    once: File,
    written: BTreeSet<String>,
}

impl Files {
    /// Opens the list of files that were written once, in the host's mount namespace.
    pub(crate) fn open(once: &Path) -> Result<Self, Reason> {
        let failed = |e| path_failed("open", once, e);
        let mut options = OpenOptions::new();
        options.create(true).read(true).append(true).mode(0o600);
        let mut file = options.open(once).map_err(failed)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        Ok(Self {
            roots: vec![PathBuf::from("/tmp")],
            secrets: None,
            once: file,
            written: text.lines().map(str::to_owned).collect(),
        })
    }

    /// Reads the list again, after a child of this process added to it.
    pub(crate) fn reload(&mut self) -> Result<(), Reason> {
        let mut text = String::new();
        let read = self.once.rewind();
        let read = read.and_then(|()| self.once.read_to_string(&mut text));
        read.map_err(|e| step_failed("read the files that were written once", e))?;
        self.written = text.lines().map(str::to_owned).collect();
        Ok(())
    }

    /// Lets files be written beneath the member's configuration directory; those from Secrets are
    /// kept there, in memory.
    pub(crate) fn allow_config(&mut self, dir: &Path) {
        self.allow(dir);
        self.secrets = Some(Secrets::of(dir));
    }

    /// Lets files be written beneath a directory of the member.
    pub(crate) fn allow(&mut self, root: &Path) {
        self.roots.push(root.to_owned());
    }

    /// Writes those of some files of a process that are due.
    pub(crate) fn write(
        &mut self,
        files: &[RenderedFile],
        identity: &Identity,
    ) -> Result<(), Reason> {
        for file in files {
            let failed =
                |e: &dyn ToString| path_failed("write", Path::new(&file.path), e.to_string());
            self.write_one(file, identity).map_err(|e| failed(&e))?;
        }
        Ok(())
    }

    fn write_one(&mut self, file: &RenderedFile, identity: &Identity) -> std::io::Result<()> {
        let path = Path::new(&file.path);
        let beneath = |root: &&PathBuf| path.starts_with(root);
        let roots = self.roots.iter().filter(beneath);
        let root = roots.max_by_key(|root| root.as_os_str().len());
        let root = root.ok_or_else(|| {
            std::io::Error::other("only {{ configDir }}, volumes and /tmp may be written to")
        })?;
        let inside = path.strip_prefix(root).map_err(std::io::Error::other)?;
        let dir = Beneath::open(root, identity.uid, identity.gid)?;
        let due = match file.when {
            FileWhen::Start => true,
            FileWhen::Once => !self.written.contains(&file.path),
            FileWhen::IfMissing => !dir.exists(inside)?,
        };
        let content = file.content.expose().as_bytes();
        match &self.secrets {
            Some(secrets) if file.secret => {
                let (target, copy) = (secrets.path(path), relative(path));
                let kept = secrets.open(identity.uid, identity.gid)?;
                // What was written in an earlier run is gone, and the link to it is not.
                let lost = dir.links_to(inside, &target)? && !kept.exists(copy)?;
                if !due && !lost {
                    return Ok(());
                }
                kept.write(copy, file.mode, content)?;
                dir.link(inside, &target)?;
            }
            Some(_) | None if !due => return Ok(()),
            Some(_) | None => dir.write(inside, file.mode, content)?,
        }
        if file.when == FileWhen::Once && self.written.insert(file.path.clone()) {
            writeln!(self.once, "{}", file.path)?;
            self.once.sync_data()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use berth_core::spec::{OnChange, Sealed};

    use super::*;

    fn file(path: &Path, when: FileWhen, text: &str) -> RenderedFile {
        RenderedFile {
            path: path.to_str().unwrap().to_owned(),
            mode: 0o644,
            content: Sealed::new(text.to_owned()),
            secret: false,
            when,
            on_change: OnChange::Ignore,
        }
    }

    #[test]
    fn each_kind_of_file_is_written_when_it_is_due() {
        let dir = tempfile::tempdir().unwrap();
        let (list, root) = (dir.path().join("once"), dir.path().join("config"));
        fs::create_dir(&root).unwrap();
        let identity = Identity {
            uid: nix::unistd::getuid().as_raw(),
            gid: nix::unistd::getgid().as_raw(),
            groups: Vec::new(),
        };
        let path = |name: &str| root.join(name);
        let read = |name: &str| fs::read_to_string(path(name)).unwrap();
        for round in ["1", "2"] {
            // Opened anew, as by the keeper of the next run.
            let mut files = Files::open(&list).unwrap();
            files.allow(&root);
            let mut write = |name: &str, when| {
                let file = file(&path(name), when, round);
                files.write_one(&file, &identity).unwrap();
            };
            write("start", FileWhen::Start);
            write("once", FileWhen::Once);
            write("missing", FileWhen::IfMissing);
            assert_eq!(read("start"), round);
            if round == "1" {
                fs::remove_file(path("once")).unwrap();
            }
        }
        assert!(!path("once").exists(), "written once means once");
        assert_eq!(read("missing"), "1");
    }

    #[test]
    fn the_hosts_own_files_are_out_of_reach() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::open(&dir.path().join("once")).unwrap();
        files.roots.clear();
        files.allow(&dir.path().join("config"));
        let identity = Identity {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
        };
        let outside = file(&dir.path().join("config2/x"), FileWhen::Start, "x");
        assert!(files.write_one(&outside, &identity).is_err());
        assert!(!dir.path().join("config2").exists());
    }
}
