//! Authentication (RFC 6120 §6): mechanisms as state machines; the stream carries their messages.

mod binding;
pub mod guard;
pub mod ht;
mod keys;
mod offer;
pub mod scram;
pub mod token;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use imd_proto::jid::prepare_local;
use imd_store::Account;

use crate::server::Server;

pub use binding::ChannelBinding;
pub use keys::{derive, from_salted, new_salt, verify_plain};
pub use offer::Offer;
pub use scram::Hash;

/// The mechanisms that the server knows, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM (RFC 5802, RFC 7677), with or without channel binding.
    Scram {
        /// The hash function.
        hash: Hash,
        /// Whether it is the `-PLUS` variant.
        plus: bool,
    },
    /// The password itself, inside TLS (RFC 4616).
    Plain,
}

impl Mechanism {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scram {
                hash: Hash::Sha256,
                plus: true,
            } => "SCRAM-SHA-256-PLUS",
            Self::Scram {
                hash: Hash::Sha1,
                plus: true,
            } => "SCRAM-SHA-1-PLUS",
            Self::Scram {
                hash: Hash::Sha256,
                plus: false,
            } => "SCRAM-SHA-256",
            Self::Scram {
                hash: Hash::Sha1,
                plus: false,
            } => "SCRAM-SHA-1",
            Self::Plain => "PLAIN",
        }
    }

    /// Those offered on a connection inside TLS, strongest first.
    #[must_use]
    pub fn offered(binding: bool) -> Vec<Self> {
        let scram = |plus| [Hash::Sha256, Hash::Sha1].map(|hash| Self::Scram { hash, plus });
        let mut offered = Vec::new();
        if binding {
            offered.extend(scram(true));
        }
        offered.extend(scram(false));
        offered.push(Self::Plain);
        offered
    }
}

/// Why a login failed (RFC 6120 §6.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The name of the condition's element.
    pub condition: &'static str,
    /// Words for a person; absent when there is nothing to add.
    pub text: Option<&'static str>,
}

impl Failure {
    /// A failure without text.
    #[must_use]
    pub const fn new(condition: &'static str) -> Self {
        Self {
            condition,
            text: None,
        }
    }

    /// A failure with words for a person.
    #[must_use]
    pub const fn with_text(condition: &'static str, text: &'static str) -> Self {
        Self {
            condition,
            text: Some(text),
        }
    }

    /// Name or password is wrong: which of them is not said.
    #[must_use]
    pub const fn not_authorized() -> Self {
        Self::new("not-authorized")
    }

    /// The message does not follow the mechanism.
    #[must_use]
    pub const fn malformed() -> Self {
        Self::new("malformed-request")
    }
}

/// What comes next in a login.
#[derive(Debug)]
pub enum Step {
    /// The client has to answer this.
    Challenge(Vec<u8>),
    /// The client is who it says.
    Success {
        /// The account.
        user: String,
        /// What the mechanism has to say with its success.
        data: Option<Vec<u8>>,
    },
    /// The client is not let in.
    Failed(Failure),
}

/// A login under way.
pub struct Exchange {
    server: Arc<Server>,
    mechanism: Mechanism,
    offer: Offer,
    /// The account that the client names, once it has.
    named: Option<String>,
    state: Option<(String, scram::Exchange)>,
    begun: bool,
}

impl Exchange {
    /// Begin a login with a mechanism by its name.
    ///
    /// # Errors
    /// `invalid-mechanism` when it was not offered.
    pub fn new(server: &Arc<Server>, name: &str, offer: Offer) -> Result<Self, Failure> {
        let mechanism = offer.find(name).ok_or(Failure::new("invalid-mechanism"))?;
        Ok(Self {
            server: Arc::clone(server),
            mechanism,
            offer,
            named: None,
            state: None,
            begun: false,
        })
    }

    /// The account that the client has named, whether it exists or not.
    #[must_use]
    pub fn named(&self) -> Option<&str> {
        self.named.as_deref()
    }

    /// Take a message of the client. `None`: the client began without one, and is asked for it.
    pub async fn step(&mut self, message: Option<&[u8]>) -> Step {
        let Some(message) = message else {
            if std::mem::replace(&mut self.begun, true) {
                return Step::Failed(Failure::malformed());
            }
            return Step::Challenge(Vec::new());
        };
        self.begun = true;
        let step = match (self.mechanism, self.state.take()) {
            (Mechanism::Plain, _) => self.plain(message).await,
            (Mechanism::Scram { hash, plus }, None) => self.scram_first(hash, plus, message).await,
            (Mechanism::Scram { .. }, Some((user, exchange))) => {
                self.scram_final(user, exchange, message).await
            }
        };
        step.unwrap_or_else(Step::Failed)
    }

    async fn plain(&mut self, message: &[u8]) -> Result<Step, Failure> {
        let text = std::str::from_utf8(message).map_err(|_| Failure::malformed())?;
        let parts: Vec<&str> = text.split('\0').collect();
        let [authorization, user, password] = parts[..] else {
            return Err(Failure::malformed());
        };
        let user = self.username(user, authorization)?;
        self.named = Some(user.clone());
        let password = password.to_owned();
        let credentials = self.credentials(&user).await?;
        // Nobody closes it; without a permit it is only computed at once.
        let _permit = self.server.load.hashing.acquire().await.ok();
        let matches =
            tokio::task::spawn_blocking(move || verify_plain(&password, credentials.as_ref()))
                .await
                .map_err(|_| Failure::new("temporary-auth-failure"))?;
        if matches {
            self.success(user, None).await
        } else {
            Err(Failure::not_authorized())
        }
    }

    async fn scram_first(
        &mut self,
        hash: Hash,
        plus: bool,
        message: &[u8],
    ) -> Result<Step, Failure> {
        let first = scram::ClientFirst::parse(message, plus, &self.offer.binding)?;
        let user = self.username(
            &first.username,
            first.authorization.as_deref().unwrap_or_default(),
        )?;
        self.named = Some(user.clone());
        let keys = match self.credentials(&user).await? {
            Some(credentials) => match hash {
                Hash::Sha1 => credentials.sha1,
                Hash::Sha256 => credentials.sha256,
            },
            None => None,
        };
        let known = keys.is_some();
        let keys = keys.unwrap_or_else(|| keys::decoy(&self.server.decoy_key, &user, hash));
        let nonce = self.server.random_id::<18>();
        let digest = self.offer.digest(hash);
        let (exchange, challenge) =
            scram::Exchange::begin(hash, first, keys, &nonce, Some(&digest), known);
        self.state = Some((user, exchange));
        Ok(Step::Challenge(challenge))
    }

    async fn scram_final(
        &self,
        user: String,
        exchange: scram::Exchange,
        message: &[u8],
    ) -> Result<Step, Failure> {
        let data = exchange.finish(message)?;
        self.success(user, Some(data)).await
    }

    async fn success(&self, user: String, data: Option<Vec<u8>>) -> Result<Step, Failure> {
        allowed(&self.server, &user).await?;
        Ok(Step::Success { user, data })
    }

    fn username(&self, name: &str, authorization: &str) -> Result<String, Failure> {
        let user = prepare_local(name)
            .map_err(|_| Failure::not_authorized())?
            .into_owned();
        let own = [
            user.clone(),
            self.server.account_jid(&user).as_str().to_owned(),
        ];
        if !authorization.is_empty() && !own.iter().any(|a| a == authorization) {
            return Err(Failure::with_text(
                "invalid-authzid",
                "nobody may act for another account",
            ));
        }
        Ok(user)
    }

    async fn credentials(&self, user: &str) -> Result<Option<imd_store::Credentials>, Failure> {
        self.server
            .store
            .credentials(user)
            .await
            .map_err(|error| store_failed(&error))
    }
}

/// Whether an account, whoever has proved to be it, may log in.
///
/// # Errors
/// With what the client is told.
async fn allowed(server: &Server, user: &str) -> Result<(), Failure> {
    let generation = server.limited.generation();
    match server.store.account(user).await {
        Ok(Some(account)) => may_log_in(server, &account, generation),
        Ok(None) => Err(Failure::not_authorized()),
        Err(error) => Err(store_failed(&error)),
    }
}

/// Whether this account may log in, which was read after `generation`.
fn may_log_in(server: &Server, account: &Account, generation: u64) -> Result<(), Failure> {
    if !account.enabled {
        return Err(Failure::new("account-disabled"));
    }
    server
        .limited
        .noted(&account.username, account.role, generation);
    Ok(())
}

fn store_failed(error: &imd_store::StoreError) -> Failure {
    tracing::warn!(%error, "cannot look an account up");
    Failure::new("temporary-auth-failure")
}

/// Decode the text of a SASL element (RFC 6120 §6.4.2): `=` stands for an empty message.
///
/// # Errors
/// `incorrect-encoding` when it is not base64.
pub fn decode(text: &str) -> Result<Vec<u8>, Failure> {
    if text == "=" {
        return Ok(Vec::new());
    }
    BASE64
        .decode(text)
        .map_err(|_| Failure::new("incorrect-encoding"))
}

/// Encode a message for a SASL element.
#[must_use]
pub fn encode(message: &[u8]) -> String {
    BASE64.encode(message)
}
