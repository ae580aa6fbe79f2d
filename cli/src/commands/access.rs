//! `berth admin token` and `berth admin user`.

use berth_core::ids::UserName;
use berth_pki::{Credentials, PkiError, request::Request};
use berth_proto::{transport::Endpoint, v1};

use super::Context;
use crate::{
    args::{Format, Global, TokenCommand, TokenCreateArgs, UserCommand, UserCreateArgs},
    contexts::{self, ContextFile, Contexts},
    error::CliError,
    output::{
        self, access,
        age::{self, instant},
        format,
    },
    refusal,
};

/// Makes, shows or deletes tokens.
pub(crate) async fn token(context: &Context, command: TokenCommand) -> Result<(), CliError> {
    match command {
        TokenCommand::Create(args) => create_token(context, args).await,
        TokenCommand::List(args) => tokens(context, args.output).await,
        TokenCommand::Delete { id } => {
            let request = v1::DeleteTokenRequest { id: id.clone() };
            let answer = context.coordinator.access().delete_token(request).await;
            answer.map_err(|status| refusal::from_status("delete the token", &status))?;
            output::data(&format!("token/{id} deleted"))
        }
    }
}

async fn create_token(context: &Context, args: TokenCreateArgs) -> Result<(), CliError> {
    let request = v1::CreateTokenRequest {
        ttl_s: args.ttl.duration.as_secs(),
        host: args.host.unwrap_or_default(),
    };
    let answer = context.coordinator.access().create_token(request).await;
    let answer = answer.map_err(|status| refusal::from_status("make a token", &status))?;
    let answer = answer.into_inner();
    let until = instant(answer.expires_ms).map_or_else(String::new, |time| time.to_string());
    output::note(&format!(
        "good once, until {until}; on the machine that joins: berth-agent join ADDRESS TOKEN"
    ));
    output::data(&answer.token)
}

async fn tokens(context: &Context, output: Format) -> Result<(), CliError> {
    let request = v1::ListTokensRequest {};
    let answer = context.coordinator.access().list_tokens(request).await;
    let answer = answer.map_err(|status| refusal::from_status("list the tokens", &status))?;
    let (tokens, now) = (answer.into_inner().tokens.into_iter(), age::now());
    let views = tokens.map(|token| access::TokenView::new(token, now));
    let views: Vec<access::TokenView> = views.collect();
    match format::structured(output, &views)? {
        Some(text) => output::data(&text),
        None => output::data(&access::tokens(&views)),
    }
}

/// Makes, shows or deletes operators.
pub(crate) async fn user(
    context: &Context,
    global: &Global,
    command: UserCommand,
) -> Result<(), CliError> {
    match command {
        UserCommand::Create(args) => create_user(context, global, args).await,
        UserCommand::List(args) => users(context, args.output).await,
        UserCommand::Delete { name } => {
            let request = v1::DeleteUserRequest { name: name.clone() };
            let answer = context.coordinator.access().delete_user(request).await;
            answer.map_err(|status| refusal::from_status("delete the user", &status))?;
            output::data(&format!("user/{name} deleted"))
        }
    }
}

async fn users(context: &Context, output: Format) -> Result<(), CliError> {
    let request = v1::ListUsersRequest {};
    let answer = context.coordinator.access().list_users(request).await;
    let answer = answer.map_err(|status| refusal::from_status("list the users", &status))?;
    let users = answer.into_inner().users.into_iter();
    let views: Vec<access::UserView> = users.map(access::UserView::from).collect();
    match format::structured(output, &views)? {
        Some(text) => output::data(&text),
        None => output::data(&access::users(&views)),
    }
}

async fn create_user(
    context: &Context,
    global: &Global,
    args: UserCreateArgs,
) -> Result<(), CliError> {
    let name: UserName = args.name.parse().map_err(|error| CliError::Usage {
        message: format!("'{}' is no name of a user: {error}", args.name),
        hint: "use a-z, 0-9 and '-'".to_owned(),
    })?;
    let endpoint = match (args.server, contexts::target(global)?.remote.endpoint) {
        (Some(server), _) => Endpoint::Tcp(server),
        (None, used @ Endpoint::Tcp(_)) => used,
        (None, Endpoint::Unix(_)) => {
            return Err(CliError::Usage {
                message: "where does the operator reach the coordinator?".to_owned(),
                hint: "give --server IP:PORT".to_owned(),
            });
        }
    };
    // Those of the command line, not that of a context.
    let namespaces: Vec<String> = global
        .namespace
        .iter()
        .flat_map(|list| list.split(','))
        .map(str::to_owned)
        .collect();
    let request = Request::new().map_err(no_key)?;
    let asked = v1::CreateUserRequest {
        name: name.to_string(),
        role: args.role.to_string(),
        namespaces: namespaces.clone(),
        csr: request.csr().to_vec(),
        replace: args.replace,
    };
    let answer = context.coordinator.access().create_user(asked).await;
    let answer = answer.map_err(|status| refusal::from_status("make the user", &status))?;
    let v1::CreateUserResponse {
        certificate,
        authority,
    } = answer.into_inner();
    let made = Credentials::new(&request.key_pem(), &certificate, &authority);
    let file = ContextFile {
        endpoint: endpoint.to_string(),
        namespace: namespaces.first().cloned(),
        identity: made.map_err(no_key)?.pem().to_owned(),
    };
    let (path, use_it) = match args.file {
        Some(path) => {
            contexts::save(&path, &file)?;
            let use_it = format!("he takes it with: berth config add {}", path.display());
            (path, use_it)
        }
        None => {
            let path = Contexts::of_user().write(name.as_str(), &file)?;
            (path, format!("use it with: berth config use {name}"))
        }
    };
    output::note(&use_it);
    output::data(&format!("user/{name} created, {}", path.display()))
}

fn no_key(error: PkiError) -> CliError {
    CliError::Failed {
        message: "no key or certificate can be made".to_owned(),
        source: Some(Box::new(error)),
        hint: "install the same release of berth as the coordinator's".to_owned(),
    }
}
