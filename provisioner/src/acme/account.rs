//! The box's account with an authority: made when it is first needed, and kept with its key.

use instant_acme::{Account, AccountCredentials, NewAccount};
use serde::{Deserialize, Serialize};

use super::ACCOUNT;
use super::fault::{Fault, Kind};
use super::http::Web;
use crate::files::{Access, Files};
use crate::settings::acme::Acme;

#[derive(Serialize, Deserialize)]
struct Kept {
    /// Whose account it is.
    directory: String,
    /// The addresses that the authority knows, as it takes them.
    contact: Vec<String>,
    credentials: AccountCredentials,
}

/// The account with the authority of the settings.
///
/// # Errors
/// The authority refuses, or what is kept cannot be read or written.
pub async fn open(files: &Files, web: &Web, acme: &Acme) -> Result<Account, Fault> {
    let contact: Vec<String> = acme
        .email
        .iter()
        .map(|email| format!("mailto:{}", email.as_str()))
        .collect();
    let addresses: Vec<&str> = contact.iter().map(String::as_str).collect();
    let directory = acme.directory();
    if let Some(mut kept) = read(files).filter(|kept| kept.directory == directory) {
        let credentials = copy(&kept.credentials)?;
        let account = builder(web).from_credentials(credentials).await?;
        if kept.contact != contact {
            account.update_contacts(&addresses).await?;
            kept.contact = contact;
            keep(files, &kept)?;
        }
        return Ok(account);
    }
    let new = NewAccount {
        contact: &addresses,
        // The settings are not on without it.
        terms_of_service_agreed: acme.agree_terms == Some(true),
        only_return_existing: false,
    };
    let created = builder(web).create(&new, directory.to_owned(), None);
    let (account, credentials) = created.await?;
    let kept = Kept {
        directory: directory.to_owned(),
        contact,
        credentials,
    };
    keep(files, &kept)?;
    Ok(account)
}

/// Forgets the account: the authority does not know it any more.
pub fn forget(files: &Files) -> anyhow::Result<()> {
    files.remove(ACCOUNT)
}

fn builder(web: &Web) -> instant_acme::AccountBuilder {
    Account::builder_with_http(Box::new(web.clone()))
}

/// A file that cannot be read is no account: a new one costs nothing.
fn read(files: &Files) -> Option<Kept> {
    let text = files.read(ACCOUNT).ok().flatten()?;
    serde_json::from_str(&text).ok()
}

fn keep(files: &Files, kept: &Kept) -> Result<(), Fault> {
    let text = serde_json::to_vec(kept).map_err(own)?;
    let written = files.replace(ACCOUNT, &text, Access::Root);
    written
        .map(drop)
        .map_err(|error| Fault::new(Kind::Trouble, format!("{error:#}")))
}

/// They have no copy of their own.
fn copy(credentials: &AccountCredentials) -> Result<AccountCredentials, Fault> {
    serde_json::to_value(credentials)
        .and_then(serde_json::from_value)
        .map_err(own)
}

fn own(error: serde_json::Error) -> Fault {
    Fault::new(Kind::Trouble, format!("the account's file: {error}"))
}
