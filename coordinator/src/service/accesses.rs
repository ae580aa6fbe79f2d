//! AccessService: tokens that hosts join with, and operators.

use std::{collections::BTreeSet, time::Duration};

use berth_core::{
    access::{JoinToken, Role, RoleError, TokenId, User},
    ids::{HostName, IdError, Namespace, UserName},
    manifest::Violation,
    store::Batch,
    time::Timestamp,
};
use berth_pki::{Subject, Token};
use berth_proto::{
    convert::{ConvertError, status::millis},
    v1::{
        CreateTokenRequest, CreateTokenResponse, CreateUserRequest, CreateUserResponse,
        DeleteTokenRequest, DeleteTokenResponse, DeleteUserRequest, DeleteUserResponse,
        ListTokensRequest, ListTokensResponse, ListUsersRequest, ListUsersResponse, TokenStatus,
        UserStatus, access_service_server::AccessService,
    },
};
use tonic::{Request, Response, Status};

use super::status::ServiceError;
use crate::{
    context::Context,
    notes::{self, NORMAL},
    state::{
        View,
        claims::write_as_known,
        keys::{token_key, user_key},
    },
    store::RecordError,
};

/// How long a token is good if nobody says.
const TTL: Duration = Duration::from_secs(3600);
/// The longest that it can be.
const LONGEST_TTL: Duration = Duration::from_secs(24 * 3600);
/// Tokens that are remembered at most: those of no use any more go first.
const TOKENS: usize = 10_000;
/// Tokens of no use that are forgotten at once.
const FORGET: usize = 50;

/// The service.
#[derive(Debug)]
pub(super) struct Accesses(pub(super) Context);

fn id<T: std::str::FromStr<Err = IdError>>(
    field: &'static str,
    text: &str,
) -> Result<T, ServiceError> {
    text.parse()
        .map_err(|source| ServiceError::from(ConvertError::Id { field, source }))
}

fn invalid(field: &str, message: String) -> ServiceError {
    ServiceError::Invalid(vec![Violation {
        file: None,
        line: None,
        column: None,
        object: None,
        field: field.to_owned(),
        message,
    }])
}

fn refused(rule: &'static str, subject: String, message: String) -> ServiceError {
    ServiceError::Refused {
        rule,
        subject,
        message,
    }
}

impl Accesses {
    async fn create_token(
        &self,
        ttl: Duration,
        host: Option<HostName>,
    ) -> Result<(Token, Timestamp), ServiceError> {
        let context = &self.0;
        let token = Token::new(context.pki.hash());
        let token =
            token.map_err(|error| refused("RANDOM", "token".to_owned(), error.to_string()))?;
        loop {
            let now = context.clock.now();
            let expires = now.plus(ttl);
            let record = JoinToken {
                hash: Token::hash(token.secret()),
                host: host.clone(),
                created: now,
                expires,
                used: None,
            };
            let batch = {
                let view = context.view.read();
                if view.access.tokens.len() >= TOKENS {
                    let text = format!(
                        "there are {TOKENS} tokens already; wait until those that ran out are \
                         forgotten, or delete some with 'berth admin token delete'"
                    );
                    return Err(refused("TOO_MANY", "token".to_owned(), text));
                }
                let mut batch = Batch::default();
                forget(&view, now, &mut batch)?;
                let key = token_key(&token.id).map_err(RecordError::from)?;
                write_as_known(&view, key, &record, &mut batch)?;
                let whom = host
                    .as_ref()
                    .map_or_else(|| "any new host".to_owned(), ToString::to_string);
                let text = format!("token {} for {whom}, good until {expires}", token.id);
                batch
                    .notes
                    .push(notes::cluster(now, NORMAL, "TokenCreated", text));
                batch
            };
            if context.commit(batch).await?.is_some() {
                return Ok((token, expires));
            }
        }
    }

    async fn delete_token(&self, id: &TokenId) -> Result<(), ServiceError> {
        loop {
            let now = self.0.clock.now();
            let batch = {
                let view = self.0.view.read();
                if !view.access.tokens.contains_key(id) {
                    let what = format!("token {id}");
                    return Err(ServiceError::NotFound { what });
                }
                let key = token_key(id).map_err(RecordError::from)?;
                let mut batch = Batch::default();
                batch.preconditions.insert(key.clone(), view.as_known(&key));
                batch.deletes.insert(key);
                let text = format!("token {id} is good for nothing any more");
                batch
                    .notes
                    .push(notes::cluster(now, NORMAL, "TokenDeleted", text));
                batch
            };
            if self.0.commit(batch).await?.is_some() {
                return Ok(());
            }
        }
    }

    async fn create_user(
        &self,
        asked: &CreateUserRequest,
    ) -> Result<CreateUserResponse, ServiceError> {
        let name: UserName = id("name", &asked.name)?;
        let role: Role = asked
            .role
            .parse()
            .map_err(|error: RoleError| invalid("role", error.to_string()))?;
        let namespaces: Result<BTreeSet<Namespace>, _> = asked
            .namespaces
            .iter()
            .map(|text| id("namespaces", text))
            .collect();
        let namespaces = namespaces?;
        if role == Role::Admin && !namespaces.is_empty() {
            let text = "an admin's role is for the whole cluster; leave them out, or \
                        make an operator";
            return Err(invalid("namespaces", text.to_owned()));
        }
        loop {
            let now = self.0.clock.now();
            let (batch, issued) = {
                let view = self.0.view.read();
                if view.access.users.contains_key(&name) && !asked.replace {
                    let text = format!(
                        "there is a user {name} already; give another name, or --replace, with which \
                         the certificates that there are of it are refused"
                    );
                    return Err(refused("EXISTS", format!("User/{name}"), text));
                }
                let subject = Subject::User(name.clone());
                let issued = self.0.pki.issue(&subject, &asked.csr, now)?;
                let record = User {
                    role,
                    namespaces: namespaces.clone(),
                    since: now,
                };
                let mut batch = Batch::default();
                let key = user_key(&name).map_err(RecordError::from)?;
                write_as_known(&view, key, &record, &mut batch)?;
                let text = format!("user {name} is {role}{}", within(&namespaces));
                batch
                    .notes
                    .push(notes::cluster(now, NORMAL, "UserCreated", text));
                (batch, issued)
            };
            if self.0.commit(batch).await?.is_some() {
                self.0.users.send_replace(());
                return Ok(CreateUserResponse {
                    certificate: issued.certificate,
                    authority: issued.authority,
                });
            }
        }
    }

    async fn delete_user(&self, name: &UserName) -> Result<(), ServiceError> {
        loop {
            let now = self.0.clock.now();
            let batch = {
                let view = self.0.view.read();
                if !view.access.users.contains_key(name) {
                    let what = format!("user {name}");
                    return Err(ServiceError::NotFound { what });
                }
                let key = user_key(name).map_err(RecordError::from)?;
                let mut batch = Batch::default();
                batch.preconditions.insert(key.clone(), view.as_known(&key));
                batch.deletes.insert(key);
                let text = format!("user {name} may do nothing any more");
                batch
                    .notes
                    .push(notes::cluster(now, NORMAL, "UserDeleted", text));
                batch
            };
            if self.0.commit(batch).await?.is_some() {
                self.0.users.send_replace(());
                return Ok(());
            }
        }
    }
}

fn within(namespaces: &BTreeSet<Namespace>) -> String {
    let names: Vec<&str> = namespaces.iter().map(Namespace::as_str).collect();
    match names.as_slice() {
        [] => String::new(),
        names => format!(" in {}", names.join(", ")),
    }
}

/// Deletes some of the tokens that nobody remembers.
fn forget(view: &View, now: Timestamp, batch: &mut Batch) -> Result<(), ServiceError> {
    let tokens = view.access.tokens.iter();
    let over = tokens.filter(|(_, token)| token.is_forgotten(now));
    for (id, _) in over.take(FORGET) {
        let key = token_key(id).map_err(RecordError::from)?;
        batch.preconditions.insert(key.clone(), view.as_known(&key));
        batch.deletes.insert(key);
    }
    Ok(())
}

fn ttl(seconds: u64) -> Result<Duration, ServiceError> {
    let asked = Duration::from_secs(seconds);
    if asked > LONGEST_TTL {
        let text = "a token is good for a day at most; give 24h or less".to_owned();
        return Err(invalid("ttl", text));
    }
    Ok(if asked.is_zero() { TTL } else { asked })
}

fn token_status(id: &TokenId, token: &JoinToken) -> TokenStatus {
    let used = token.used.as_ref();
    TokenStatus {
        id: id.to_string(),
        host: token
            .host
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        created_ms: millis(Some(token.created)),
        expires_ms: millis(Some(token.expires)),
        used_by: used.map(|(host, _)| host.to_string()).unwrap_or_default(),
        used_ms: millis(used.map(|(_, at)| *at)),
    }
}

#[tonic::async_trait]
impl AccessService for Accesses {
    async fn create_token(
        &self,
        request: Request<CreateTokenRequest>,
    ) -> Result<Response<CreateTokenResponse>, Status> {
        let request = request.into_inner();
        let ttl = ttl(request.ttl_s)?;
        let host = match request.host.as_str() {
            "" => None,
            host => Some(id("host", host)?),
        };
        let (token, expires) = self.create_token(ttl, host).await?;
        Ok(Response::new(CreateTokenResponse {
            token: token.to_string(),
            expires_ms: millis(Some(expires)),
        }))
    }

    async fn list_tokens(
        &self,
        _request: Request<ListTokensRequest>,
    ) -> Result<Response<ListTokensResponse>, Status> {
        let view = self.0.view.read();
        let tokens = view.access.tokens.iter();
        let tokens = tokens.map(|(id, token)| token_status(id, token)).collect();
        Ok(Response::new(ListTokensResponse { tokens }))
    }

    async fn delete_token(
        &self,
        request: Request<DeleteTokenRequest>,
    ) -> Result<Response<DeleteTokenResponse>, Status> {
        self.delete_token(&id("id", &request.into_inner().id)?)
            .await?;
        Ok(Response::new(DeleteTokenResponse {}))
    }

    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<CreateUserResponse>, Status> {
        let created = self.create_user(&request.into_inner()).await?;
        Ok(Response::new(created))
    }

    async fn list_users(
        &self,
        _request: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        let view = self.0.view.read();
        let users = view.access.users.iter().map(|(name, user)| UserStatus {
            name: name.to_string(),
            role: user.role.to_string(),
            namespaces: user.namespaces.iter().map(ToString::to_string).collect(),
            since_ms: millis(Some(user.since)),
        });
        let users = users.collect();
        Ok(Response::new(ListUsersResponse { users }))
    }

    async fn delete_user(
        &self,
        request: Request<DeleteUserRequest>,
    ) -> Result<Response<DeleteUserResponse>, Status> {
        self.delete_user(&id("name", &request.into_inner().name)?)
            .await?;
        Ok(Response::new(DeleteUserResponse {}))
    }
}
