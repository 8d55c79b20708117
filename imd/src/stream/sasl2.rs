//! SASL2 (XEP-0388): login, and in the same message resource binding (XEP-0386), resumption (XEP-0198) and tokens
//! (XEP-0484), without a new stream.

use std::sync::Arc;

use imd_proto::{Element, StreamCondition, StreamError, ns};
use imd_store::Credentials;

use super::c2s::Ended;
use super::{Transport, auth, bind2, manage, upgrade};
use crate::sasl::ht::{self, HashedToken};
use crate::sasl::{self, ChannelBinding, Exchange, Failure, Offer, Step, token};
use crate::server::Server;
use crate::session::{Attached, UserAgent};

/// Bytes of what a client says about itself.
const AGENT_BYTES: usize = 128;

/// A client has logged in.
pub(super) struct LoggedIn {
    pub(super) user: String,
    pub(super) agent: Option<UserAgent>,
}

/// A login that succeeded, before its consequences.
struct Proved {
    user: String,
    data: Option<Vec<u8>>,
    /// The mechanism of the token to give to the client.
    token: Option<HashedToken>,
}

/// The stream feature.
pub(super) fn feature(offer: &Offer, known: Option<&Credentials>) -> Element {
    let text = |name, text: &str, ns| Element::new(name, ns).with_text(text);
    let fast = HashedToken::offered(&offer.binding)
        .into_iter()
        .map(|m| text("mechanism", m.name(), ns::FAST));
    let inline = Element::new("inline", ns::SASL2)
        .with_child(bind2::feature())
        .with_child(manage::feature())
        .with_child(Element::new("fast", ns::FAST).with_children(fast));
    let mechanisms = offer.mechanisms.iter();
    Element::new("authentication", ns::SASL2)
        .with_children(mechanisms.map(|m| text("mechanism", m.name(), ns::SASL2)))
        .with_child(inline)
        .with_children(
            upgrade::possible(known).map(|task| text("upgrade", task.name(), ns::SASL_UPGRADE)),
        )
}

/// Carry a login that a client began with `<authenticate/>`. `claimed`: the account in the stream header. `None`: it
/// failed and the client may try again. A session that it binds or resumes by the way is in `entered`.
pub(super) async fn authenticate<T: Transport>(
    server: &Arc<Server>,
    transport: &mut T,
    offer: &Offer,
    claimed: Option<&str>,
    request: &Element,
    entered: &mut Option<Attached>,
) -> Result<Option<LoggedIn>, Ended> {
    if let Some(failure) = auth::full(server) {
        return failed(transport, &failure).await;
    }
    let agent = request.child("user-agent", ns::SASL2).and_then(read_agent);
    let attempt = attempt(server, transport, offer, agent.as_ref(), request).await?;
    let proved = match attempt {
        Ok(proved) if claimed.is_some_and(|claimed| claimed != proved.user) => {
            Err(Failure::new("invalid-authzid"))
        }
        other => other,
    };
    let mut proved = match proved {
        Ok(proved) => proved,
        Err(failure) => return failed(transport, &failure).await,
    };
    let tasks = upgrade::wanted(server, &proved.user, request).await;
    for task in tasks {
        let done = upgrade::run(server, transport, &proved.user, task, proved.data.take()).await?;
        if let Err(failure) = done {
            return failed(transport, &failure).await;
        }
    }
    finish(server, transport, request, proved, agent, entered)
        .await
        .map(Some)
}

fn read_agent(element: &Element) -> Option<UserAgent> {
    let short = |text: Option<String>| text.filter(|t| !t.is_empty() && t.len() <= AGENT_BYTES);
    Some(UserAgent {
        id: short(element.attr("id").map(str::to_owned))?,
        software: short(element.child_text("software")),
        device: short(element.child_text("device")),
    })
}

/// The exchange of messages, by whatever mechanism.
async fn attempt<T: Transport>(
    server: &Arc<Server>,
    transport: &mut T,
    offer: &Offer,
    agent: Option<&UserAgent>,
    request: &Element,
) -> Result<Result<Proved, Failure>, Ended> {
    let name = request.attr("mechanism").unwrap_or_default();
    let initial = request.child("initial-response", ns::SASL2);
    let message = match initial.map(|e| decode(&e.text())).transpose() {
        Ok(message) => message,
        Err(failure) => return Ok(Err(failure)),
    };
    let wanted = request
        .child("request-token", ns::FAST)
        .and_then(|e| HashedToken::find(e.attr("mechanism")?, &offer.binding))
        .filter(|_| agent.is_some());
    let outcome = match HashedToken::find(name, &offer.binding) {
        Some(mechanism) => {
            let checked = by_token(server, mechanism, message, agent, request, &offer.binding);
            match checked.await {
                Ok((user, proof, due)) => Ok(Proved {
                    user,
                    data: Some(proof),
                    token: wanted.or(due.then_some(mechanism)),
                }),
                Err(failure) => Err(failure),
            }
        }
        None => match by_password(server, transport, offer, name, message).await? {
            Ok((user, data)) => Ok(Proved {
                user,
                data,
                token: wanted,
            }),
            Err(failure) => Err(failure),
        },
    };
    if let Err(failure) = &outcome {
        tracing::info!(peer = %transport.peer(), mechanism = name, condition = failure.condition, "login failed");
    }
    Ok(outcome)
}

/// Log in by a token: the account, what proves the server, and whether the token is to be replaced.
async fn by_token(
    server: &Arc<Server>,
    mechanism: HashedToken,
    message: Option<Vec<u8>>,
    agent: Option<&UserAgent>,
    request: &Element,
    binding: &ChannelBinding,
) -> Result<(String, Vec<u8>, bool), Failure> {
    // XEP-0484 §4.1: both are needed to find the token.
    let (Some(fast), Some(agent)) = (request.child("fast", ns::FAST), agent) else {
        return Err(Failure::malformed());
    };
    let message = message.ok_or_else(Failure::malformed)?;
    let count = match fast.attr("count").map(str::parse) {
        None => None,
        Some(Ok(count)) => Some(count),
        Some(Err(_)) => return Err(Failure::malformed()),
    };
    let checked = ht::check(server, mechanism, &message, &agent.id, count, binding).await?;
    server.load.rates.login(&checked.user).await;
    let invalidate = matches!(fast.attr("invalidate"), Some("true" | "1"));
    if invalidate {
        let revoked = server
            .store
            .revoke_login_tokens(&checked.user, Some(&agent.id));
        if let Err(error) = revoked.await {
            tracing::warn!(user = checked.user, %error, "cannot revoke a login token");
            return Err(Failure::new("temporary-auth-failure"));
        }
    }
    Ok((checked.user, checked.proof, checked.due && !invalidate))
}

type Password = Result<(String, Option<Vec<u8>>), Failure>;

/// Log in by SCRAM or PLAIN.
async fn by_password<T: Transport>(
    server: &Arc<Server>,
    transport: &mut T,
    offer: &Offer,
    name: &str,
    mut message: Option<Vec<u8>>,
) -> Result<Password, Ended> {
    let mut exchange = match Exchange::new(server, name, offer.clone()) {
        Ok(exchange) => exchange,
        Err(failure) => return Ok(Err(failure)),
    };
    loop {
        let step = exchange.step(message.as_deref()).await;
        match auth::slowed(server, transport.peer(), exchange.named(), step).await {
            Step::Challenge(challenge) => {
                let challenge =
                    Element::new("challenge", ns::SASL2).with_text(sasl::encode(&challenge));
                transport.send(&challenge).await?;
            }
            Step::Success { user, data } => return Ok(Ok((user, data))),
            Step::Failed(failure) => return Ok(Err(failure)),
        }
        message = match next(transport, "response").await? {
            Ok(response) => match decode(&response.text()) {
                Ok(message) => Some(message),
                Err(failure) => return Ok(Err(failure)),
            },
            Err(failure) => return Ok(Err(failure)),
        };
    }
}

/// The client's next element, which has to be of that name. XEP-0388 §2.4: anything else ends the stream.
pub(super) async fn next<T: Transport>(
    transport: &mut T,
    name: &str,
) -> Result<Result<Element, Failure>, Ended> {
    let element = super::c2s::element(transport).await?;
    if element.is(name, ns::SASL2) {
        Ok(Ok(element))
    } else if element.is("abort", ns::SASL2) {
        Ok(Err(Failure::new("aborted")))
    } else {
        let text = format!("<{}> came during the login", element.name());
        Err(StreamError::with_text(StreamCondition::PolicyViolation, text).into())
    }
}

/// XEP-0388 §2.2: an empty element is an empty message; white space is not part of it.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, Failure> {
    match text.trim() {
        "" => Ok(Vec::new()),
        text => sasl::decode(text),
    }
}

/// Resume or bind, give a token, and say so.
async fn finish<T: Transport>(
    server: &Arc<Server>,
    transport: &mut T,
    request: &Element,
    proved: Proved,
    agent: Option<UserAgent>,
    entered: &mut Option<Attached>,
) -> Result<LoggedIn, Ended> {
    let Proved { user, data, token } = proved;
    let mut inline = Vec::new();
    if let Some(resume) = request.child("resume", ns::SM) {
        match manage::resume(server, &user, resume).await {
            Ok((resumed, answer)) => {
                *entered = Some(resumed);
                inline.push(answer);
            }
            Err(answer) => inline.push(answer),
        }
    }
    // XEP-0386 §3.2: binding comes second, and not at all after a resumption.
    if let (None, Some(bind)) = (&entered, request.child("bind", ns::BIND2)) {
        inline.push(bind2::bind(server, &user, bind, agent.clone(), entered).await?);
    }
    if let (Some(mechanism), Some(agent)) = (token, &agent) {
        inline.extend(token::issue(server, &user, &agent.id, mechanism).await);
    }
    let identity = match &entered {
        Some(attached) => attached.session.jid.clone(),
        None => server.account_jid(&user),
    };
    let mut success = Element::new("success", ns::SASL2);
    if let Some(data) = data {
        success.push(Element::new("additional-data", ns::SASL2).with_text(sasl::encode(&data)));
    }
    success.push(Element::new("authorization-identifier", ns::SASL2).with_text(identity.as_str()));
    for answer in inline {
        success.push(answer);
    }
    transport.raise_limits();
    transport.send(&success).await?;
    Ok(LoggedIn { user, agent })
}

async fn failed<T: Transport>(
    transport: &mut T,
    failure: &Failure,
) -> Result<Option<LoggedIn>, Ended> {
    let mut element =
        Element::new("failure", ns::SASL2).with_child(Element::new(failure.condition, ns::SASL));
    if let Some(text) = failure.text {
        element.push(Element::new("text", ns::SASL2).with_text(text));
    }
    transport.send(&element).await?;
    Ok(None)
}
