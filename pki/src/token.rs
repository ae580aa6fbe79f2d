//! The text of a join token: `berth1.<hash of the authority>.<id>.<secret>`. With the hash a host
//! knows the coordinator before it tells the secret to anybody.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use berth_core::access::TokenId;
use rustls::crypto::{GetRandomFailed, ring};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::authority::AuthorityHash;

/// What it begins with: the form's version.
const FORM: &str = "berth1";
/// Bytes of a secret.
const SECRET: usize = 32;
/// Bytes of an id.
const ID: usize = 8;

/// A join token. It is shown once, to whoever made it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The authority of the cluster.
    pub authority: AuthorityHash,
    /// Which token it is.
    pub id: TokenId,
    secret: [u8; SECRET],
}

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Something else.
    #[error(
        "this is no join token; give what 'berth admin token create' printed, it begins with berth1."
    )]
    Other,
    /// A part is missing.
    #[error(
        "the token is cut short, or has characters too many; give all of what 'berth admin token create' printed"
    )]
    Truncated,
    /// There is no token.
    #[error("no random number can be had from the system; try again")]
    Random,
}

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn new(authority: AuthorityHash) -> Result<Self, TokenError> {
        let mut secret = [0; SECRET];
        let mut id = [0; ID];
        let random = ring::default_provider().secure_random;
        let filled = random.fill(&mut secret).and_then(|()| random.fill(&mut id));
        filled.map_err(|GetRandomFailed| TokenError::Random)?;
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            authority,
            id: id.parse().map_err(|_| TokenError::Random)?,
            secret,
        })
    }

    /// The secret, as it is sent.
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// What is stored of a secret, in hexadecimal. Secrets are random and long: nobody finds one by
    /// trying, so that the hash need not be slow.
    pub fn hash(secret: &[u8]) -> String {
        let digest = Sha256::digest(secret);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.id)
    }
}

impl fmt::Display for Token {
    /// All of it, the secret too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (authority, secret) = (BASE64.encode(self.authority.0), BASE64.encode(self.secret));
        write!(f, "{FORM}.{authority}.{}.{secret}", self.id)
    }
}

impl FromStr for Token {
    type Err = TokenError;
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let mut parts = text.trim().split('.');
        if parts.next() != Some(FORM) {
            return Err(TokenError::Other);
        }
        let (Some(authority), Some(id), Some(secret), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Truncated);
        };
        let bytes = |part: &str| -> Result<[u8; 32], TokenError> {
            let decoded = BASE64.decode(part).map_err(|_| TokenError::Truncated)?;
            decoded.try_into().map_err(|_| TokenError::Truncated)
        };
        if id.len() != 2 * ID {
            return Err(TokenError::Truncated);
        }
        Ok(Self {
            authority: AuthorityHash(bytes(authority)?),
            id: id.parse().map_err(|_| TokenError::Truncated)?,
            secret: bytes(secret)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_printed_and_read_back_and_never_two_are_one() {
        let authority = AuthorityHash([7; 32]);
        let token = Token::new(authority).unwrap();
        let text = token.to_string();
        assert_eq!(format!(" {text}\n").parse::<Token>().unwrap(), token);
        assert_ne!(Token::new(authority).unwrap().to_string(), text);
        assert!(!format!("{token:?}").contains(text.rsplit('.').next().unwrap()));
    }

    #[test]
    fn a_part_of_a_token_is_called_one() {
        let text = Token::new(AuthorityHash([7; 32])).unwrap().to_string();
        for end in FORM.len() + 1..text.len() {
            let error = text[..end].parse::<Token>().unwrap_err();
            assert_eq!(error, TokenError::Truncated, "{}", &text[..end]);
        }
        let longer = format!("{text}A");
        assert_eq!(longer.parse::<Token>(), Err(TokenError::Truncated));
        for other in ["", "berth2.a.b.c", "K10abc::server:x"] {
            assert_eq!(other.parse::<Token>(), Err(TokenError::Other));
        }
    }
}
