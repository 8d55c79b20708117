//! New keys for an account that has only old ones, made by the client, which has the password (XEP-0480).

use std::sync::Arc;

use imd_proto::{Element, ns};
use imd_store::Credentials;

use super::Transport;
use super::c2s::Ended;
use super::sasl2::{decode, next};
use crate::sasl::{self, Failure, Hash};
use crate::server::Server;

/// An upgrade: keys for a hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Task(Hash);

impl Task {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self.0 {
            Hash::Sha1 => "UPGR-SCRAM-SHA-1",
            Hash::Sha256 => "UPGR-SCRAM-SHA-256",
        }
    }
}

/// The upgrades that an account lacks. None when it is not known who logs in.
pub(super) fn possible(known: Option<&Credentials>) -> impl Iterator<Item = Task> + use<> {
    let lacks = known.map_or((false, false), |keys| {
        (keys.sha256.is_none(), keys.sha1.is_none())
    });
    let sha256 = lacks.0.then_some(Task(Hash::Sha256));
    let sha1 = lacks.1.then_some(Task(Hash::Sha1));
    sha256.into_iter().chain(sha1)
}

/// The upgrades that the client asks for and the account lacks.
pub(super) async fn wanted(server: &Arc<Server>, user: &str, request: &Element) -> Vec<Task> {
    let asked: Vec<String> = request
        .children()
        .filter(|c| c.is("upgrade", ns::SASL_UPGRADE))
        .map(|c| c.text().trim().to_owned())
        .collect();
    if asked.is_empty() {
        return Vec::new();
    }
    match server.store.credentials(user).await {
        Ok(known) => possible(known.as_ref())
            .filter(|task| asked.iter().any(|name| name == task.name()))
            .collect(),
        Err(error) => {
            // The login does not depend on it.
            tracing::warn!(user, %error, "cannot look up which keys an account has");
            Vec::new()
        }
    }
}

/// Carry an upgrade. `data`: what the mechanism had to say with its success, if it is not said yet.
pub(super) async fn run<T: Transport>(
    server: &Arc<Server>,
    transport: &mut T,
    user: &str,
    task: Task,
    data: Option<Vec<u8>>,
) -> Result<Result<(), Failure>, Ended> {
    let mut go_on = Element::new("continue", ns::SASL2);
    if let Some(data) = data {
        go_on.push(Element::new("additional-data", ns::SASL2).with_text(sasl::encode(&data)));
    }
    let name = Element::new("task", ns::SASL2).with_text(task.name());
    go_on.push(Element::new("tasks", ns::SASL2).with_child(name));
    transport.send(&go_on).await?;
    match next(transport, "next").await? {
        Ok(begun) if begun.attr("task") == Some(task.name()) => {}
        Ok(_) => return Ok(Err(Failure::malformed())),
        Err(failure) => return Ok(Err(failure)),
    }
    let Ok((salt, iterations)) = sasl::new_salt() else {
        return Ok(Err(Failure::new("temporary-auth-failure")));
    };
    let salt_element = Element::new("salt", ns::SCRAM_UPGRADE)
        .with_attr("iterations", iterations.to_string())
        .with_text(sasl::encode(&salt));
    let task_data = Element::new("task-data", ns::SASL2).with_child(salt_element);
    transport.send(&task_data).await?;
    let answer = match next(transport, "task-data").await? {
        Ok(answer) => answer,
        Err(failure) => return Ok(Err(failure)),
    };
    let hash = answer.child("hash", ns::SCRAM_UPGRADE).map(Element::text);
    let salted = match hash.map(|text| decode(&text)) {
        Some(Ok(salted)) if salted.len() == task.0.output_bytes() => salted,
        Some(Err(failure)) => return Ok(Err(failure)),
        _ => return Ok(Err(Failure::malformed())),
    };
    let keys = Some(sasl::from_salted(task.0, &salted, &salt, iterations));
    let credentials = match task.0 {
        Hash::Sha1 => Credentials {
            sha1: keys,
            sha256: None,
        },
        Hash::Sha256 => Credentials {
            sha1: None,
            sha256: keys,
        },
    };
    match server.store.add_credentials(user, credentials).await {
        Ok(()) => {
            tracing::info!(user, task = task.name(), "account upgraded");
            Ok(Ok(()))
        }
        Err(error) => {
            tracing::warn!(user, %error, "cannot keep new keys");
            Ok(Err(Failure::new("temporary-auth-failure")))
        }
    }
}
