//! Ad-hoc commands of the server (XEP-0050): a form is shown, filled in and carried out, with no state between.

use std::sync::Arc;

use async_trait::async_trait;
use imd_proto::form::Form;
use imd_proto::{Condition, Element, Jid, StanzaError, ns};
use imd_store::Role;

use super::{Answer, Feature, Reply, Request, Target, invite, service_admin, store_error};
use crate::server::Server;

/// XEP-0050.
pub const NS: &str = "http://jabber.org/protocol/commands";

/// All commands, in the order in which they are listed.
fn all() -> Vec<Arc<dyn Command>> {
    let mut all: Vec<Arc<dyn Command>> =
        vec![Arc::new(invite::Invite), Arc::new(invite::CreateAccount)];
    all.extend(service_admin::all());
    all
}

/// Who runs a command.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The full address.
    pub jid: Jid,
    /// The account's name.
    pub user: String,
    /// The account's role.
    pub role: Role,
}

/// What a command has done.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Said to whoever ran it; absent: nothing.
    pub note: Option<String>,
    /// A form of type `result`; absent: none.
    pub form: Option<Element>,
}

/// A command.
#[async_trait]
pub trait Command: Send + Sync {
    /// By which it is called.
    fn node(&self) -> &'static str;

    /// What people see.
    fn name(&self) -> &'static str;

    /// Whether it is there for somebody.
    fn is_for(&self, server: &Server, caller: &Caller) -> bool;

    /// The form to fill in; absent: it is carried out at once.
    fn form(&self, server: &Server) -> Option<Element>;

    /// Carry it out with a form that was filled in (without fields where there is none to fill in).
    async fn run(
        &self,
        server: &Arc<Server>,
        caller: &Caller,
        form: &Form,
    ) -> Result<Outcome, StanzaError>;
}

/// Answers commands that are addressed to the server.
pub(super) struct Commands {
    commands: Vec<Arc<dyn Command>>,
}

impl Default for Commands {
    fn default() -> Self {
        Self { commands: all() }
    }
}

#[async_trait]
impl Feature for Commands {
    fn server_features(&self) -> Vec<&'static str> {
        vec![NS]
    }

    fn requests(&self) -> Vec<(Target, &'static str)> {
        vec![(Target::Server, NS)]
    }

    async fn request(&self, request: &Request<'_>) -> Answer {
        if request.payload.name() != "command" || !request.is_set() {
            return Err(Condition::BadRequest.into());
        }
        let node = request.payload.attr("node").unwrap_or_default();
        let Some(command) = self.commands.iter().find(|c| c.node() == node) else {
            return Err(StanzaError::with_text(
                Condition::ItemNotFound,
                format!("there is no command {node:?}"),
            ));
        };
        let caller = caller(request).await?;
        if !command.is_for(request.server, &caller) {
            return Err(Condition::Forbidden.into());
        }
        let session = request.payload.attr("sessionid").map_or_else(
            || request.server.random_id::<8>(),
            |id| id.chars().take(64).collect(),
        );
        let answer = |status: &str| {
            Element::new("command", NS)
                .with_attr("node", node)
                .with_attr("sessionid", session.as_str())
                .with_attr("status", status)
        };
        let submitted = match request.payload.attr("action").unwrap_or("execute") {
            "cancel" => return Ok(Reply::With(answer("canceled"))),
            "execute" | "next" | "complete" => Form::find(request.payload),
            _ => return Err(bad_action()),
        };
        if submitted.is_none()
            && let Some(form) = command.form(request.server)
        {
            let actions = Element::new("actions", NS)
                .with_attr("execute", "complete")
                .with_child(Element::new("complete", NS));
            let shown = answer("executing").with_child(actions).with_child(form);
            return Ok(Reply::With(shown));
        }
        let form = submitted.unwrap_or_default();
        if form.form_type == "cancel" {
            return Ok(Reply::With(answer("canceled")));
        }
        let outcome = command.run(request.server, &caller, &form).await?;
        let mut done = answer("completed");
        if let Some(note) = outcome.note {
            done.push(
                Element::new("note", NS)
                    .with_attr("type", "info")
                    .with_text(note),
            );
        }
        Ok(Reply::With(done.with_children(outcome.form)))
    }
}

/// XEP-0050 §3.4: an action that is not there.
fn bad_action() -> StanzaError {
    StanzaError::new(Condition::BadRequest).with_application(Element::new("bad-action", NS))
}

async fn caller(request: &Request<'_>) -> Result<Caller, StanzaError> {
    let from = &request.stanza.from;
    let forbidden = || StanzaError::new(Condition::Forbidden);
    let user = from
        .local()
        .filter(|_| request.server.is_local_account(from))
        .ok_or_else(forbidden)?;
    let account = request.server.store.account(user).await;
    let account = account
        .map_err(|e| store_error(&e))?
        .ok_or_else(forbidden)?;
    Ok(Caller {
        jid: from.clone(),
        user: user.to_owned(),
        role: account.role,
    })
}

/// What service discovery shows at the nodes of commands (XEP-0050 §3.1, §3.2); absent for other nodes.
pub(super) async fn disco(request: &Request<'_>, node: &str) -> Option<Element> {
    let items = request.payload.ns() == ns::DISCO_ITEMS;
    let commands = all();
    if items && node == NS {
        let mut query = Element::new("query", ns::DISCO_ITEMS).with_attr("node", NS);
        let caller = caller(request).await.ok();
        for command in commands {
            if caller
                .as_ref()
                .is_some_and(|c| command.is_for(request.server, c))
            {
                query.push(
                    Element::new("item", ns::DISCO_ITEMS)
                        .with_attr("jid", request.server.config.domain.as_str())
                        .with_attr("node", command.node())
                        .with_attr("name", command.name()),
                );
            }
        }
        return Some(query);
    }
    let (name, kind) = match commands.iter().find(|c| c.node() == node) {
        _ if items => return None,
        _ if node == NS => ("Commands", "command-list"),
        Some(command) => (command.name(), "command-node"),
        None => return None,
    };
    let identity = Element::new("identity", ns::DISCO_INFO)
        .with_attr("category", "automation")
        .with_attr("type", kind)
        .with_attr("name", name);
    let features =
        [NS, ns::DATA_FORM].map(|f| Element::new("feature", ns::DISCO_INFO).with_attr("var", f));
    Some(
        Element::new("query", ns::DISCO_INFO)
            .with_attr("node", node)
            .with_child(identity)
            .with_children(features),
    )
}
