//! SASL2 and what comes with it: Bind 2, tokens, upgrades, resumption, and the slowing down of guesses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod support;

use std::time::{Duration, Instant};

use imd::sasl::Hash;
use imd_proto::{Element, ns};
use imd_store::{AccountStore as _, LoginToken, Role, TokenStore as _, now_millis};
use support::{Client, Login, Mechanism, Refused, TestServer, Way, password, sasl2};

const PHONE: &str = "<user-agent xmlns='urn:xmpp:sasl:2' id='d4565fa7'><software>Test</software><device>Phone</device></user-agent>";
const BIND: &str = "<bind xmlns='urn:xmpp:bind:0'><tag>Test</tag></bind>";
const SCRAM_PLUS: Mechanism = Mechanism::Scram {
    hash: Hash::Sha256,
    plus: true,
};

async fn server(more: &str) -> TestServer {
    let server = TestServer::start(more).await.unwrap();
    for user in ["alice", "bob"] {
        server.account(user, Role::Member).await.unwrap();
    }
    server
}

async fn open(server: &TestServer) -> Client {
    let from = Some("alice@example.test");
    Client::open_as(server, Way::DirectTls, from).await.unwrap()
}

/// Log in as Alice by her password.
async fn log_in(server: &TestServer, inline: &str) -> (Client, Element) {
    let mut client = open(server).await;
    let secret = password("alice");
    let success = sasl2::by_password(&mut client, SCRAM_PLUS, "alice", &secret, inline);
    let success = success.await.unwrap();
    (client, success)
}

fn refusal<T>(outcome: anyhow::Result<T>) -> String {
    let error = outcome.err().expect("this was not refused");
    match error.downcast_ref::<Refused>() {
        Some(refused) => refused.condition().to_owned(),
        None => panic!("{error:#}"),
    }
}

fn token(success: &Element) -> Option<String> {
    let token = success.child("token", ns::FAST)?;
    assert!(token.attr("expiry").unwrap().ends_with('Z'));
    Some(token.attr("token").unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_message_logs_in_binds_and_begins_the_session() {
    let server = server("").await;
    let wanted = format!(
        "{PHONE}<bind xmlns='urn:xmpp:bind:0'><tag>Test</tag><enable xmlns='urn:xmpp:carbons:2'/>\
         <enable xmlns='urn:xmpp:sm:3' resume='true'/><inactive xmlns='urn:xmpp:csi:0'/></bind>"
    );
    let (mut phone, success) = log_in(&server, &wanted).await;
    assert!(
        phone.jid.starts_with("alice@example.test/Test/"),
        "{}",
        phone.jid
    );
    assert!(!phone.jid.contains("d4565fa7"), "the id must not show");
    let bound = success.child("bound", ns::BIND2).unwrap();
    let enabled = bound.child("enabled", ns::SM).unwrap();
    assert!(enabled.attr("id").is_some());
    assert!(bound.child("metadata", ns::MAM).is_some());
    // Carbons are on from the start.
    let mut laptop = Client::connect(&server, &Login::new("alice"))
        .await
        .unwrap();
    laptop
        .send("<message to='bob@example.test' type='chat' id='1'><body>Hello</body></message>")
        .await
        .unwrap();
    let copy = "<message><sent xmlns='urn:xmpp:carbons:2'/></message>";
    phone.expect(copy).await.unwrap();
    // The same client gets the same address again, and its old session ends.
    let (again, _) = log_in(&server, &format!("{PHONE}{BIND}")).await;
    assert_eq!(again.jid, phone.jid);
    let _ = phone.expect("<r xmlns='urn:xmpp:sm:3'/>").await;
    let error = phone.next().await.unwrap().element();
    assert_eq!(refusal(error), "conflict");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_bind_2_a_resource_is_bound_on_the_same_stream() {
    let server = server("").await;
    let (mut client, success) = log_in(&server, "").await;
    assert_eq!(client.jid, "alice@example.test");
    assert!(success.child("bound", ns::BIND2).is_none());
    assert!(client.features.child("bind", ns::BIND).is_some());
    client
        .send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>")
        .await
        .unwrap();
    client
        .expect("<iq id='b' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>alice@example.test/r</jid></bind></iq>")
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stanza_after_login_may_be_larger_than_before() {
    let server = server("").await;
    let (mut client, _) = log_in(&server, BIND).await;
    let body = "x".repeat(100_000);
    client
        .send(&format!("<message id='1'><body>{body}</body></message>"))
        .await
        .unwrap();
    client.sync().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_left_to_the_archive() {
    let server = server("").await;
    let mut bob = Client::connect(&server, &Login::new("bob")).await.unwrap();
    bob.send("<message to='alice@example.test' type='chat' id='1'><body>Hello</body></message>")
        .await
        .unwrap();
    bob.sync().await.unwrap();
    let (mut alice, success) = log_in(&server, BIND).await;
    let metadata = success.child("bound", ns::BIND2).unwrap();
    let metadata = metadata.child("metadata", ns::MAM).unwrap();
    assert!(metadata.child("end", ns::MAM).unwrap().attr("id").is_some());
    alice.send("<presence/>").await.unwrap();
    alice.expect("<presence/>").await.unwrap();
    alice.expect_nothing().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_session_is_resumed_in_the_login_or_else_bound_anew() {
    let server = server("").await;
    let wanted = format!(
        "{PHONE}<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>"
    );
    let (client, success) = log_in(&server, &wanted).await;
    let bound = success.child("bound", ns::BIND2).unwrap();
    let id = bound.child("enabled", ns::SM).unwrap().attr("id").unwrap();
    let jid = client.jid.clone();
    client.cut().unwrap();
    let mut bob = Client::connect(&server, &Login::new("bob")).await.unwrap();
    bob.send(&format!(
        "<message to='{jid}' type='chat' id='1'><body>Hello</body></message>"
    ))
    .await
    .unwrap();
    bob.sync().await.unwrap();
    let resume = format!("{wanted}<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>");
    let (mut client, success) = log_in(&server, &resume).await;
    assert_eq!(client.jid, jid);
    assert!(success.child("resumed", ns::SM).is_some());
    assert!(success.child("bound", ns::BIND2).is_none());
    client.expect("<message id='1'/>").await.unwrap();
    // An id from nowhere: the failure is told, and the resource bound.
    let resume = format!("{BIND}<resume xmlns='urn:xmpp:sm:3' previd='nothing' h='0'/>");
    let (_, success) = log_in(&server, &resume).await;
    assert!(success.child("failed", ns::SM).is_some());
    assert!(success.child("bound", ns::BIND2).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_logs_in_once_bound_to_the_connection_and_its_mechanism() {
    let server = server("").await;
    let want = format!(
        "{PHONE}{BIND}<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>"
    );
    let (first, success) = log_in(&server, &want).await;
    let secret = token(&success).unwrap();
    drop(first);
    let fast = |count| format!("{PHONE}{BIND}<fast xmlns='urn:xmpp:fast:0' count='{count}'/>");
    let by = async |mechanism: &str, forged: bool, inline: &str| {
        let mut client = open(&server).await;
        let mut binding = match mechanism {
            "HT-SHA-256-NONE" => Vec::new(),
            _ => client.tls_exporter().unwrap().to_vec(),
        };
        if forged {
            binding[0] ^= 1;
        }
        sasl2::by_token(&mut client, mechanism, "alice", &secret, &binding, inline).await
    };
    let success = by("HT-SHA-256-EXPR", false, &fast(1)).await.unwrap();
    assert!(success.child("bound", ns::BIND2).is_some());
    assert!(token(&success).is_none(), "it is not old");
    for (mechanism, forged, inline) in [
        ("HT-SHA-256-EXPR", false, fast(1)),
        ("HT-SHA-256-EXPR", true, fast(5)),
        ("HT-SHA-256-NONE", false, fast(5)),
        (
            "HT-SHA-256-EXPR",
            false,
            fast(5).replace("d4565fa7", "another"),
        ),
    ] {
        assert_eq!(
            refusal(by(mechanism, forged, &inline).await),
            "not-authorized"
        );
    }
    let no_agent = "<fast xmlns='urn:xmpp:fast:0'/>";
    let refused = refusal(by("HT-SHA-256-EXPR", false, no_agent).await);
    assert_eq!(refused, "malformed-request");
    // It can be given back.
    let invalidate = format!("{PHONE}<fast xmlns='urn:xmpp:fast:0' count='6' invalidate='true'/>");
    by("HT-SHA-256-EXPR", false, &invalidate).await.unwrap();
    let refused = refusal(by("HT-SHA-256-EXPR", false, &fast(7)).await);
    assert_eq!(refused, "not-authorized");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_token_is_replaced_and_a_run_out_one_refused() {
    let server = server("").await;
    let store = server.store().unwrap();
    let now = now_millis();
    let add = async |secret: &str, created_at, expires_at| {
        let token = LoginToken {
            user: "alice".to_owned(),
            client: "d4565fa7".to_owned(),
            mechanism: "HT-SHA-256-NONE".to_owned(),
            secret: secret.as_bytes().to_vec(),
            created_at,
            expires_at,
            counter: None,
            used: false,
        };
        store.add_login_token(token).await.unwrap();
    };
    let fast = format!("{PHONE}<fast xmlns='urn:xmpp:fast:0'/>");
    let by = async |secret: &str| {
        let mut client = open(&server).await;
        sasl2::by_token(&mut client, "HT-SHA-256-NONE", "alice", secret, b"", &fast).await
    };
    add("run out", now - 10_000, now - 1).await;
    assert_eq!(refusal(by("run out").await), "credentials-expired");
    add("nearly", now - 100_000, now + 60_000).await;
    let new = token(&by("nearly").await.unwrap()).unwrap();
    // The answer may not have arrived: the old one counts until the new one has been used.
    by("nearly").await.unwrap();
    let newest = token(&by("nearly").await.unwrap()).unwrap();
    by(&newest).await.unwrap();
    assert_eq!(refusal(by("nearly").await), "not-authorized");
    assert_eq!(refusal(by(&new).await), "not-authorized");
    // A disabled account's tokens are kept, those in use and those that are not.
    add("not used", now, now + 60_000).await;
    store.set_enabled("alice", false).await.unwrap();
    assert_eq!(refusal(by(&newest).await), "account-disabled");
    assert_eq!(refusal(by("not used").await), "account-disabled");
    store.set_enabled("alice", true).await.unwrap();
    by(&newest).await.unwrap();
    // A new password ends all tokens.
    let keys = imd::sasl::derive("another password").unwrap();
    store.set_credentials("alice", keys).await.unwrap();
    assert_eq!(refusal(by(&newest).await), "not-authorized");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_with_old_keys_is_upgraded_by_its_client() {
    let server = server("").await;
    let store = server.store().unwrap();
    let mut keys = imd::sasl::derive(&password("alice")).unwrap();
    keys.sha256 = None;
    store.set_credentials("alice", keys).await.unwrap();
    let mut client = open(&server).await;
    let offer = client.features.child("authentication", ns::SASL2).unwrap();
    let offered = |name: &str| {
        let mut texts = offer.children().filter(|c| !c.is("inline", ns::SASL2));
        texts.any(|c| c.text() == name)
    };
    assert!(offered("UPGR-SCRAM-SHA-256") && !offered("UPGR-SCRAM-SHA-1"));
    assert!(offered("SCRAM-SHA-1") && !offered("SCRAM-SHA-256"));
    let sha1 = Mechanism::Scram {
        hash: Hash::Sha1,
        plus: true,
    };
    let ask = "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>";
    let secret = password("alice");
    let go_on = sasl2::by_password(&mut client, sha1, "alice", &secret, ask);
    let go_on = go_on.await.unwrap();
    assert!(go_on.is("continue", ns::SASL2), "{}", go_on.to_xml());
    client
        .send("<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-256'/>")
        .await
        .unwrap();
    let data = client
        .expect("<task-data xmlns='urn:xmpp:sasl:2'><salt xmlns='urn:xmpp:scram-upgrade:0' iterations='{any}'/></task-data>")
        .await
        .unwrap();
    let salt = data.child("salt", ns::SCRAM_UPGRADE).unwrap();
    let rounds: u32 = salt.attr("iterations").unwrap().parse().unwrap();
    assert!(rounds >= 4096);
    let mut salted = [0; 32];
    ring::pbkdf2::derive(
        ring::pbkdf2::PBKDF2_HMAC_SHA256,
        rounds.try_into().unwrap(),
        &imd::sasl::decode(&salt.text()).unwrap(),
        password("alice").as_bytes(),
        &mut salted,
    );
    let hash = imd::sasl::encode(&salted);
    client
        .send(&format!("<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>{hash}</hash></task-data>"))
        .await
        .unwrap();
    client
        .expect("<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>alice@example.test</authorization-identifier></success>")
        .await
        .unwrap();
    // Next time it logs in by the better mechanism.
    let (client, _) = log_in(&server, "").await;
    assert_eq!(client.jid, "alice@example.test");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_with_old_keys_can_log_in_by_plain() {
    let server = server("").await;
    let mut keys = imd::sasl::derive(&password("alice")).unwrap();
    keys.sha256 = None;
    let store = server.store().unwrap();
    store.set_credentials("alice", keys).await.unwrap();
    let by = async |password: &str| {
        let mut client = open(&server).await;
        sasl2::by_password(&mut client, Mechanism::Plain, "alice", password, "").await
    };
    assert_eq!(refusal(by("wrong").await), "not-authorized");
    // PLAIN has nothing to say with its success.
    by(&password("alice")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_that_break_the_rules_are_refused() {
    let server = server("").await;
    let mut client = open(&server).await;
    let secret = password("bob");
    let bob = sasl2::by_password(&mut client, SCRAM_PLUS, "bob", &secret, "");
    assert_eq!(
        refusal(bob.await),
        "invalid-authzid",
        "the header says Alice"
    );
    let wrong = sasl2::by_password(&mut client, SCRAM_PLUS, "alice", "wrong", "");
    assert_eq!(refusal(wrong.await), "not-authorized");
    for (sent, condition) in [
        (
            "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='NONE'/>",
            "invalid-mechanism",
        ),
        (
            "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>?</initial-response></authenticate>",
            "incorrect-encoding",
        ),
    ] {
        client.send(sent).await.unwrap();
        let failure = format!(
            "<failure xmlns='urn:xmpp:sasl:2'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>"
        );
        client.expect(&failure).await.unwrap();
    }
    client
        .send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/><message/>")
        .await
        .unwrap();
    client
        .expect("<challenge xmlns='urn:xmpp:sasl:2'/>")
        .await
        .unwrap();
    let error = client.next().await.unwrap().element();
    assert_eq!(refusal(error), "policy-violation");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_become_slow() {
    let guesses = async |settings: &str| {
        let server = server(settings).await;
        let began = Instant::now();
        for _ in 0..5 {
            let mut client = open(&server).await;
            let guess = sasl2::by_password(&mut client, SCRAM_PLUS, "alice", "guess", "");
            assert_eq!(refusal(guess.await), "not-authorized");
        }
        began.elapsed()
    };
    let slow = "[limits]\nlogin_failures = 2\nloopback_exempt = false";
    // Two are free, the third costs nothing, the others 250 and 500 ms.
    assert!(guesses(slow).await >= Duration::from_millis(750));
}
