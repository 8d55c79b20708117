//! The newest items for a client that has come online or begun to see somebody (XEP-0163 §4.3.4).

use std::collections::HashMap;
use std::sync::Arc;

use imd_proto::Jid;
use imd_store::Newest;

use crate::feature::pubsub::access::{Affiliation, Viewer, may_read};
use crate::feature::pubsub::host::{Found, Host};
use crate::feature::pubsub::node::{AccessModel, SendLast};
use crate::feature::pubsub::{notify, read};
use crate::route::blocked;
use crate::server::Server;
use crate::session::Session;

/// Bytes of items that one client gets at once; the rest it can ask for.
const MOST_BYTES: usize = 1024 * 1024;

/// For a session here: items of its own account, and of the accounts here whose presence it sees.
pub(super) async fn for_session(server: &Arc<Server>, session: &Arc<Session>, nodes: Vec<String>) {
    if nodes.is_empty() {
        return;
    }
    let roster = match server.store.roster(&session.user).await {
        Ok(roster) => roster.items,
        Err(error) => {
            tracing::warn!(user = %session.user, %error, "cannot read the roster for the newest items");
            return;
        }
    };
    let mut hosts = vec![session.jid.to_bare()];
    hosts.extend(
        roster
            .iter()
            .filter(|item| item.subscription.is_to())
            .filter_map(|item| item.contact.parse().ok())
            .filter(|jid| server.is_local_account(jid)),
    );
    send(server, hosts, nodes, &session.jid).await;
}

/// For a client elsewhere: items of the account whose contact it is.
pub(super) async fn for_contact(server: &Arc<Server>, user: &str, jid: &Jid, nodes: Vec<String>) {
    let item = server.store.roster_item(user, jid.bare_str()).await;
    if matches!(item, Ok(Some(item)) if item.subscription.is_from()) {
        send(server, vec![server.account_jid(user)], nodes, jid).await;
    }
}

/// A contact has just been allowed to see an account: its sessions get the account's newest items.
pub async fn for_new_contact(server: &Arc<Server>, user: &str, contact: &Jid) {
    let Some(local) = contact.local().filter(|_| server.is_local_account(contact)) else {
        return;
    };
    for session in server.directory.sessions(local) {
        let nodes = session.state().notify.clone();
        if let Some(nodes) = nodes {
            let host = server.account_jid(user);
            send(server, vec![host], nodes.to_vec(), &session.jid).await;
        }
    }
}

/// Send the newest items of nodes of several accounts, all of which show `to` their presence.
async fn send(server: &Arc<Server>, hosts: Vec<Jid>, nodes: Vec<String>, to: &Jid) {
    let names: Vec<String> = hosts.iter().map(|jid| jid.as_str().to_owned()).collect();
    let newest = server.store.newest_of(names, nodes, to.bare_str()).await;
    let newest = match newest {
        Ok(newest) => newest,
        Err(error) => {
            tracing::warn!(%to, %error, "cannot read the newest items");
            return;
        }
    };
    let hosts: HashMap<&str, &Jid> = hosts.iter().map(|jid| (jid.as_str(), jid)).collect();
    let mut bytes = 0;
    for Newest {
        node,
        item,
        affiliation,
    } in newest
    {
        let Some(jid) = hosts.get(node.service.as_str()) else {
            continue;
        };
        let host = Host::account(server, jid.local().unwrap_or_default());
        let node = Found::from(node);
        if node.config.send_last != SendLast::OnSubAndPresence
            || !node.config.deliver_notifications
            || !allowed(&host, &node, affiliation.as_deref(), to).await
        {
            continue;
        }
        bytes += item.payload.len() + 512;
        if bytes > MOST_BYTES {
            return;
        }
        let payload = read::read_payload(&item);
        let message = notify::last_item(&host, &node, &item.id, payload.as_ref(), item.time);
        notify::deliver(server, &host.jid, &message, to).await;
    }
}

async fn allowed(host: &Host<'_>, node: &Found, affiliation: Option<&str>, to: &Jid) -> bool {
    if to.same_bare(&host.jid) {
        return true;
    }
    if let Some(user) = &host.user
        && blocked::has_blocked(host.server, user, to).await
    {
        return false;
    }
    let affiliation = affiliation
        .and_then(Affiliation::from_name)
        .unwrap_or_default();
    let viewer = Viewer {
        affiliation,
        sees_presence: true,
        ..Viewer::default()
    };
    match node.config.access_model {
        // What these need besides is looked up; the others are plain.
        AccessModel::Roster | AccessModel::Authorize if affiliation == Affiliation::None => {
            match host.viewer(node, to).await {
                Ok(viewer) => may_read(&node.config, &viewer).is_ok(),
                Err(_) => false,
            }
        }
        _ => may_read(&node.config, &viewer).is_ok(),
    }
}
