//! Contexts: which coordinator, and as whom. Each is one file with a key in it, for its owner only, so
//! that it can be handed over as it is.

use std::{
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use berth_core::{ids::check_label, manifest::read_config};
use berth_pki::{Certified, Credentials, PkiError, private, tls};
use berth_proto::transport::{ClientTls, Endpoint, Remote};
use serde::{Deserialize, Serialize};

use crate::{
    args::Global,
    error::CliError,
    output::{age, format},
};

/// Where the coordinator of this machine listens, if nobody says otherwise.
const LOCAL: &str = "/run/berth/coordinator/api.sock";
/// The directory of contexts, below that of the configuration.
const CONTEXTS: &str = "contexts";
/// The name of the one in use.
const CURRENT: &str = "current";

/// A context, as it is written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ContextFile {
    /// Where the coordinator is.
    pub(crate) endpoint: String,
    /// The namespace that commands are about if nobody says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// The key, its certificate, and the authority's, in PEM.
    pub(crate) identity: String,
}

/// What a command talks to.
#[derive(Debug)]
pub(crate) struct Target {
    /// The coordinator.
    pub(crate) remote: Remote,
    /// The namespace.
    pub(crate) namespace: String,
}

/// The coordinator that a command line is about, and as whom it is asked.
pub(crate) fn target(global: &Global) -> Result<Target, CliError> {
    let named = match (&global.context, &global.endpoint) {
        (Some(name), _) => Some(name.clone()),
        // A socket on this machine needs no context, and the one in use is another coordinator's.
        (None, Some(Endpoint::Unix(_))) => None,
        (None, Some(Endpoint::Tcp(_)) | None) => Contexts::of_user().current()?,
    };
    let Some(named) = named else {
        let local = || Endpoint::Unix(PathBuf::from(LOCAL));
        return Ok(Target {
            remote: Remote {
                endpoint: global.endpoint.clone().unwrap_or_else(local),
                tls: None,
            },
            namespace: global.namespace(),
        });
    };
    let context = Contexts::of_user().read(&named)?;
    let credentials = context.credentials()?;
    let endpoint = match &global.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => context.endpoint()?,
    };
    credentials.check_time(age::now()).map_err(of_no_use)?;
    let config = tls::client(&credentials).map_err(of_no_use)?;
    let namespace = global.namespace.clone().or(context.file.namespace);
    Ok(Target {
        remote: Remote {
            endpoint,
            tls: Some(ClientTls::new(config)),
        },
        namespace: namespace.unwrap_or_else(|| "default".to_owned()),
    })
}

/// A context that was read.
pub(crate) struct Context {
    path: PathBuf,
    file: ContextFile,
}

impl Context {
    /// Where its coordinator is.
    pub(crate) fn endpoint(&self) -> Result<Endpoint, CliError> {
        let parsed = self.file.endpoint.parse();
        parsed.map_err(|error| CliError::Usage {
            message: format!("{}: endpoint: {error}", self.path.display()),
            hint: "correct the file".to_owned(),
        })
    }

    /// The namespace that it is about.
    pub(crate) fn namespace(&self) -> &str {
        self.file.namespace.as_deref().unwrap_or("default")
    }

    /// What is in it.
    pub(crate) fn into_file(self) -> ContextFile {
        self.file
    }

    /// As whom.
    pub(crate) fn certified(&self) -> Result<Certified, CliError> {
        Ok(self.credentials()?.certified().clone())
    }

    fn credentials(&self) -> Result<Credentials, CliError> {
        Credentials::parse(self.file.identity.clone()).map_err(|what| CliError::Usage {
            message: format!("{}: identity: holds no {what}", self.path.display()),
            hint: ANOTHER.to_owned(),
        })
    }
}

/// Where a context that is of use comes from.
const ANOTHER: &str = "ask an admin for another context: `berth admin user create NAME --replace`";

fn of_no_use(error: PkiError) -> CliError {
    CliError::Missing {
        message: error.to_string(),
        hint: ANOTHER.to_owned(),
    }
}

/// All contexts of whoever runs this.
#[derive(Debug)]
pub(crate) struct Contexts(PathBuf);

impl Contexts {
    /// Below `$BERTH_CONFIG_DIR`, `$XDG_CONFIG_HOME/berth` or `~/.config/berth`.
    pub(crate) fn of_user() -> Self {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let own = set("BERTH_CONFIG_DIR").map(PathBuf::from);
        let shared = || set("XDG_CONFIG_HOME").map(|dir| Path::new(&dir).join("berth"));
        let home = || set("HOME").map(|dir| Path::new(&dir).join(".config/berth"));
        Self(
            own.or_else(shared)
                .or_else(home)
                .unwrap_or_else(|| "/etc/berth".into()),
        )
    }

    /// The name of the one in use; `None` if there is none.
    pub(crate) fn current(&self) -> Result<Option<String>, CliError> {
        let path = self.0.join(CURRENT);
        match fs::read_to_string(&path) {
            Ok(name) => Ok(Some(name.trim().to_owned()).filter(|name| !name.is_empty())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed("read", &path, source)),
        }
    }

    /// The names of all, in order.
    pub(crate) fn names(&self) -> Result<Vec<String>, CliError> {
        let path = self.0.join(CONTEXTS);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed("read", &path, source)),
        };
        let files = entries.flatten().map(|entry| entry.path());
        let files = files.filter(|path| path.extension().is_some_and(|end| end == "yaml"));
        let names = files.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
        let mut names: Vec<String> = names.collect();
        names.sort();
        Ok(names)
    }

    /// Reads one, by its name or, with a slash in it, by its path.
    pub(crate) fn read(&self, named: &str) -> Result<Context, CliError> {
        let path = match named.contains('/') {
            true => PathBuf::from(named),
            false => self.path(named)?,
        };
        if !named.contains('/') && !path.exists() {
            return Err(CliError::NotFound {
                what: format!("context {named}"),
                hint: "`berth config list` shows those that there are".to_owned(),
            });
        }
        let text = private::read(&path).map_err(of_no_use)?;
        let file = read_config(&path.display().to_string(), &text);
        let file = file.map_err(|mistakes| CliError::Usage {
            message: mistakes
                .first()
                .map(ToString::to_string)
                .unwrap_or_default(),
            hint: ANOTHER.to_owned(),
        })?;
        Ok(Context { path, file })
    }

    /// Writes one, for its owner only.
    pub(crate) fn write(&self, name: &str, file: &ContextFile) -> Result<PathBuf, CliError> {
        let path = self.path(name)?;
        let directory = self.0.join(CONTEXTS);
        private::directory(&directory).map_err(of_no_use)?;
        save(&path, file)?;
        Ok(path)
    }

    /// Uses one from now on.
    pub(crate) fn choose(&self, name: &str) -> Result<(), CliError> {
        self.read(name)?;
        private::write(&self.0.join(CURRENT), format!("{name}\n")).map_err(of_no_use)
    }

    fn path(&self, name: &str) -> Result<PathBuf, CliError> {
        check_label(name).map_err(|error| CliError::Usage {
            message: format!("'{name}' is no name of a context: {error}"),
            hint: "`berth config list` shows those that there are".to_owned(),
        })?;
        Ok(self.0.join(CONTEXTS).join(format!("{name}.yaml")))
    }
}

/// Writes a context to a file, for its owner only.
pub(crate) fn save(path: &Path, file: &ContextFile) -> Result<(), CliError> {
    private::write(path, format::yaml(file)?).map_err(of_no_use)
}

fn failed(doing: &'static str, path: &Path, source: std::io::Error) -> CliError {
    CliError::File {
        doing,
        path: path.to_owned(),
        source,
    }
}
