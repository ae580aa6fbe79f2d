//! `berth config`: contexts.

use std::path::Path;

use crate::{
    args::ConfigCommand,
    contexts::{ContextFile, Contexts},
    error::CliError,
    output::{self, access},
};

/// Shows contexts, or chooses one. No coordinator is asked.
pub(crate) fn run(command: ConfigCommand, named: Option<&str>) -> Result<(), CliError> {
    let contexts = Contexts::of_user();
    match command {
        ConfigCommand::List => {
            let current = contexts.current()?;
            output::data(&access::contexts(&contexts.names()?, current.as_deref()))
        }
        ConfigCommand::Use { name } => {
            contexts.choose(&name)?;
            output::data(&format!("context/{name} is used"))
        }
        ConfigCommand::Show { name } => show(&contexts, name.as_deref().or(named)),
        ConfigCommand::Add { file, name } => add(&contexts, &file, name),
    }
}

fn show(contexts: &Contexts, named: Option<&str>) -> Result<(), CliError> {
    let current = contexts.current()?;
    let name = named.or(current.as_deref()).ok_or_else(|| CliError::NotFound {
        what: "a context in use".to_owned(),
        hint: "`berth config list` shows those that there are; without one, the coordinator of this \
               machine is asked through its socket"
            .to_owned(),
    })?;
    let context = contexts.read(name)?;
    let (endpoint, certified) = (context.endpoint()?.to_string(), context.certified()?);
    let namespace = context.namespace();
    output::data(&access::context(name, &endpoint, namespace, &certified))
}

fn add(contexts: &Contexts, file: &Path, name: Option<String>) -> Result<(), CliError> {
    let stem = || Some(file.file_stem()?.to_str()?.to_owned());
    let name = name.or_else(stem).unwrap_or_default();
    let there = file.canonicalize().map_err(|source| CliError::File {
        doing: "find",
        path: file.to_owned(),
        source,
    })?;
    let read = contexts.read(&there.display().to_string())?;
    // That it is of use is found out now, not when it is needed.
    read.endpoint()?;
    read.certified()?;
    let taken: ContextFile = read.into_file();
    let path = contexts.write(&name, &taken)?;
    contexts.choose(&name)?;
    output::data(&format!("context/{name} is used, {}", path.display()))
}
