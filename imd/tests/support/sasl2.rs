//! SASL2 (XEP-0388), the client's side.

use anyhow::{Context as _, Result, bail, ensure};
use imd::sasl::{decode, encode};
use imd_proto::{Element, ns};
use ring::hmac;

use super::client::{Client, within};
use super::login::{Mechanism, Refused};
use super::scram::Scram;

/// `<authenticate/>` with what the client wants besides, as XML.
fn authenticate(mechanism: &str, initial: &[u8], inline: &str) -> Result<Element> {
    let more = super::pattern::read(inline).map_err(|e| anyhow::anyhow!(e))?;
    let initial = Element::new("initial-response", ns::SASL2).with_text(encode(initial));
    Ok(Element::new("authenticate", ns::SASL2)
        .with_attr("mechanism", mechanism)
        .with_child(initial)
        .with_children(more))
}

/// Log in by a password; `<success/>`, or `<continue/>`.
pub async fn by_password(
    client: &mut Client,
    mechanism: Mechanism,
    user: &str,
    password: &str,
    inline: &str,
) -> Result<Element> {
    within("log in", async {
        let Mechanism::Scram { hash, plus } = mechanism else {
            let message = format!("\0{user}\0{password}");
            let request = authenticate(mechanism.name(), message.as_bytes(), inline)?;
            client.send_element(&request).await?;
            return end(client).await;
        };
        let binding = plus.then(|| client.tls_exporter()).transpose()?;
        let mut scram = Scram::new(hash, user, password, binding);
        scram.check_offer(&client.features, "authentication", ns::SASL2);
        let request = authenticate(mechanism.name(), scram.first().as_bytes(), inline)?;
        client.send_element(&request).await?;
        let challenge = next(client).await?;
        ensure!(
            challenge.is("challenge", ns::SASL2),
            "expected <challenge>, got {}",
            challenge.to_xml()
        );
        let challenge = data(&challenge.text())?;
        let answer = scram.answer(&challenge)?;
        let response = Element::new("response", ns::SASL2).with_text(encode(answer.as_bytes()));
        client.send_element(&response).await?;
        let success = end(client).await?;
        scram.check(&additional(&success)?)?;
        Ok(success)
    })
    .await
}

/// Log in by a token (XEP-0484).
pub async fn by_token(
    client: &mut Client,
    mechanism: &str,
    user: &str,
    token: &str,
    binding: &[u8],
    inline: &str,
) -> Result<Element> {
    within("log in by a token", async {
        let message = token_message(user, token, binding);
        let request = authenticate(mechanism, &message, inline)?;
        client.send_element(&request).await?;
        let success = end(client).await?;
        ensure!(
            additional(&success)? == sign(token, b"Responder", binding),
            "the server did not prove that it knows the token"
        );
        Ok(success)
    })
    .await
}

fn token_message(user: &str, token: &str, binding: &[u8]) -> Vec<u8> {
    [user.as_bytes(), b"\0", &sign(token, b"Initiator", binding)].concat()
}

fn sign(token: &str, role: &[u8], binding: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    hmac::sign(&key, &[role, binding].concat())
        .as_ref()
        .to_vec()
}

fn additional(element: &Element) -> Result<Vec<u8>> {
    let text = element
        .child_text("additional-data")
        .with_context(|| format!("no additional data in {}", element.to_xml()))?;
    data(&text)
}

fn data(text: &str) -> Result<Vec<u8>> {
    decode(text).map_err(|_| anyhow::anyhow!("{text:?} is no base64"))
}

async fn next(client: &mut Client) -> Result<Element> {
    let element = client.next().await?.element()?;
    if element.is("failure", ns::SASL2) {
        return Err(Refused(element).into());
    }
    Ok(element)
}

async fn end(client: &mut Client) -> Result<Element> {
    let element = next(client).await?;
    if !element.is("success", ns::SASL2) && !element.is("continue", ns::SASL2) {
        bail!("expected an end, got {}", element.to_xml());
    }
    if element.is("success", ns::SASL2) {
        let identity = element.child_text("authorization-identifier");
        client.jid = identity.context("no identity")?;
        client.features = client.next().await?.element()?;
        ensure!(
            client.features.is("features", ns::STREAM),
            "features have to follow, not {}",
            client.features.to_xml()
        );
    }
    Ok(element)
}
