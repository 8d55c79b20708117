//! One order: account, proof, certificate.

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::account;
use super::challenge::{Proof, put_record, show_file};
use super::fault::{Fault, Kind};
use super::http::Web;
use crate::settings::acme::Acme;
use crate::settings::apply::Machine;
use crate::update::fetch;

/// How long an authority may take for a proof or a certificate.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(180));

/// Why no certificate was had.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub fault: Fault,
    /// Until when the authority wants to be left alone, in seconds since 1970. Absent: it has said nothing.
    pub barred: Option<i64>,
}

/// Orders a certificate. Returns its key and, after it, the chain, as PEM.
///
/// # Errors
/// What failed, in words.
pub fn order(machine: Machine<'_>, domain: &str, acme: &Acme) -> Result<String, Failure> {
    let failure = |fault: Fault| Failure {
        fault,
        barred: None,
    };
    let authority = acme.authority.as_ref().map(|path| {
        let place = machine.files.path(path.as_str());
        place.display().to_string()
    });
    let agent = fetch::agent(authority.as_deref(), false)
        .map_err(|error| failure(Fault::new(Kind::Unreachable, format!("{error:#}"))))?;
    // One connection to one server: a thread of its own is enough.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failure(Fault::new(Kind::Trouble, error.to_string())))?;
    let web = Web::new(agent);
    let issued = runtime.block_on(issue(machine, domain, acme, &web));
    issued.map_err(|fault| Failure {
        fault,
        barred: web.barred(),
    })
}

async fn issue(
    machine: Machine<'_>,
    domain: &str,
    acme: &Acme,
    web: &Web,
) -> Result<String, Fault> {
    let names = [Identifier::Dns(domain.to_owned())];
    let account = account::open(machine.files, web, acme).await;
    let ordered = match account {
        Ok(account) => begin(&account, &names).await,
        Err(fault) => return Err(fault),
    };
    let mut order = match ordered {
        Err(Error::Api(problem)) if is_forgotten(&problem) => {
            let forgotten = account::forget(machine.files);
            forgotten.map_err(|error| Fault::new(Kind::Trouble, format!("{error:#}")))?;
            let account = account::open(machine.files, web, acme).await?;
            begin(&account, &names).await?
        }
        other => other?,
    };
    let mut proofs = Vec::new();
    let mut proved = show(machine, domain, acme, &mut order, &mut proofs).await;
    if proved.is_ok() {
        proved = wait(&mut order, acme).await;
    }
    for proof in proofs {
        if let Err(error) = proof.withdraw(machine) {
            eprintln!("<4>{error:#}");
        }
    }
    proved?;
    take(&mut order, domain).await
}

async fn begin(account: &Account, names: &[Identifier]) -> Result<Order, Error> {
    account.new_order(&NewOrder::new(names)).await
}

/// The authority does not know the account: it was made with another one at the same address, or removed there.
fn is_forgotten(problem: &instant_acme::Problem) -> bool {
    let name = problem.r#type.as_deref().unwrap_or_default();
    name.ends_with(":accountDoesNotExist")
}

/// Puts up what proves the domain, and lets the authority look. `proofs` has what was put up, also when something failed.
async fn show(
    machine: Machine<'_>,
    domain: &str,
    acme: &Acme,
    order: &mut Order,
    proofs: &mut Vec<Proof>,
) -> Result<(), Fault> {
    let hook = acme.dns_hook();
    let kind = match hook {
        Some(_) => ChallengeType::Dns01,
        None => ChallengeType::Http01,
    };
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let Some(mut challenge) = authorization.challenge(kind.clone()) else {
            return Err(Fault::new(
                Kind::Refused,
                "it does not offer this way of proving a domain",
            ));
        };
        let answer = challenge.key_authorization();
        proofs.push(match hook {
            Some(hook) => put_record(machine, hook, domain, &answer.dns_value())?,
            None => show_file(machine, &challenge.token, answer.as_str())?,
        });
        match challenge.set_ready().await {
            Err(Error::Api(problem)) => return Err(Fault::of_proof(&problem, hook.is_some())),
            other => other?,
        }
    }
    Ok(())
}

/// Waits until the authority has looked.
async fn wait(order: &mut Order, acme: &Acme) -> Result<(), Fault> {
    let failed = match order.poll_ready(&PATIENCE).await {
        Ok(OrderStatus::Ready) => return Ok(()),
        Ok(_) => Fault::new(Kind::Refused, "the order was refused without a reason"),
        Err(Error::Api(problem)) => Fault::of_proof(&problem, acme.dns_hook().is_some()),
        Err(error) => return Err(error.into()),
    };
    // The reason is with the proof.
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else {
            continue;
        };
        let problem = state.challenges.iter().find_map(|one| one.error.as_ref());
        if let Some(problem) = problem {
            return Err(Fault::of_proof(problem, acme.dns_hook().is_some()));
        }
    }
    Err(failed)
}

/// Has the certificate signed, for a key of its own.
async fn take(order: &mut Order, domain: &str) -> Result<String, Fault> {
    let own = |error: rcgen::Error| Fault::new(Kind::Trouble, error.to_string());
    let key = KeyPair::generate().map_err(own)?;
    let mut params = CertificateParams::new(vec![domain.to_owned()]).map_err(own)?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(own)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(format!("{}{chain}", key.serialize_pem()))
}
